"""What workers send whose models act differently while they train: messages, and what BatchNorm kept of their batches.

Every worker starts a round from the server's parameters and statistics and takes its steps in training mode, on its own
batch alone. The server takes the mean of the statistics that come back, as FedAvg does with buffers, and a plain one
whatever the aggregator: label flips reach statistics through the parameters alone, so those of a hostile worker's only
step are honest, and who forges messages forges no statistics.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from turncoat.direction import Params
from turncoat.federation.messages import pack
from turncoat.models.learned import residuals
from turncoat.models.stack import Model, TrainingMode, copies, moved, zeros

Seeds = Sequence[Sequence[int]]
"""For each of a worker's steps one seed a replica."""


def sent_in_training(
    model: Model,
    mode: TrainingMode,
    params: Params,
    x: Tensor,
    labels: Integer[Tensor, "w b r"],
    seeds: Sequence[Seeds],
    rate: float,
) -> tuple[Float[Tensor, "r w p"], list[Params]]:
    """Every worker's message, for x of shape (w, b, ...), and its statistics afterwards.

    With one step a message is a gradient, with more the server's parameters minus the worker's after plain SGD.
    """
    found = [
        _worker(model, mode, params, own, new, drawn, rate)
        for own, new, drawn in zip(x, labels, seeds, strict=True)
    ]
    return torch.stack([message for message, _ in found], 1), [kept for _, kept in found]


def _worker(
    model: Model,
    mode: TrainingMode,
    params: Params,
    x: Tensor,
    labels: Integer[Tensor, "b r"],
    seeds: Seeds,
    rate: float,
) -> tuple[Float[Tensor, "r p"], Params]:
    local, kept = copies(params), params
    total = zeros(moved(model, params))
    parts = zip(x.chunk(len(seeds)), labels.chunk(len(seeds)), seeds, strict=True)
    for own, new, drawn in parts:
        logits, pull, after = mode.forward(local, own, drawn)
        rest = residuals(model, local, own, logits, new)
        if len(seeds) == 1:
            pull(rest, total, 1.0 / len(own))
        else:
            pull(rest, moved(model, local), -rate / len(own))
        local |= after
        kept = after
    if len(seeds) > 1:
        total = {name: params[name] - local[name] for name in total}
    return pack(model, total), {name: kept[name] for name in model.statistics}


def mean_statistics(reported: Sequence[Params], weights: Float[Tensor, " w"]) -> Params:
    """The mean of what workers kept of their batches; whole numbers, such as counts of batches, are rounded."""
    share = (weights / weights.sum()).double()
    found = {}
    for name, like in reported[0].items():
        each = torch.stack([one[name] for one in reported]).double()
        mean = torch.tensordot(share.to(each.device), each, 1)
        found[name] = (mean if like.is_floating_point() else mean.round()).to(like.dtype)
    return found
