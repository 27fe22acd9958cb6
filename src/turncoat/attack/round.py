"""One round of the attack on a stack of replicas: the gradient that it turns, and what the flips did to it."""

import dataclasses

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.attack.choosing import features, prefix
from turncoat.direction import Params
from turncoat.losses import swap
from turncoat.models.learned import residuals
from turncoat.models.stack import Model, dot, moved, zeros


@dataclasses.dataclass(frozen=True)
class Report:
    """What a round did to each replica; objectives are ⟨-∇L_D, Δ⟩ with the omniscient attacker's Δ."""

    flips: Float[Tensor, " r"]
    objective_before: Float[Tensor, " r"]
    objective_after: Float[Tensor, " r"]
    cosine: Float[Tensor, " r"]


def mean_gradient(
    model: Model,
    params: Params,
    x: Tensor,
    labels: Int[Tensor, "n r"],
    sizes: Int[Tensor, " r"] | None = None,
) -> Params:
    """Mean gradient of the loss of each replica, over all rows or over its first ``sizes[j]`` rows."""
    total = zeros(moved(model, params))
    scale = None if sizes is None else 1.0 / sizes.clamp(min=1)
    for start in range(0, len(x), model.chunk):
        rows = slice(start, start + model.chunk)
        logits, pull = model.forward(params, x[rows])
        rest = residuals(model, params, x[rows], logits, labels[rows])
        if sizes is not None and scale is not None:
            inside = torch.arange(start, start + len(rest), device=x.device).unsqueeze(1) < sizes
            rest = rest * (inside * scale).unsqueeze(1).to(rest.dtype)
        pull(rest, total, 1.0 / len(x) if sizes is None else 1.0)
    return total


def gradient_change(
    model: Model,
    params: Params,
    x: Tensor,
    members: Int[Tensor, " m"] | None,
    old: Int[Tensor, "m r"],
    new: Int[Tensor, "m r"],
    sizes: Int[Tensor, " r"],
    n: int,
) -> Params:
    """What the flips add to the mean gradient over ``n`` examples; without ``members`` ``x`` is theirs."""
    total = zeros(moved(model, params))
    dtype = next(iter(params.values())).dtype
    flipped = (old != new).any(1).nonzero().squeeze(1)
    for rows in flipped.split(model.chunk) if len(flipped) else ():
        active = int((sizes > rows[0]).sum())  # replicas are sorted by falling size
        before, after = old[rows, :active], new[rows, :active]
        mine = prefix(params, active, model.replica_axis)
        part = zeros(moved(model, mine))
        own = features(x, members, rows)
        if model.loss.plain:
            rest, pull = swap(before, after, model.classes, dtype), model.pullback(mine, own)
        else:
            logits, pull = model.forward(mine, own)
            rest = residuals(model, mine, own, logits, after)
            rest -= residuals(model, mine, own, logits, before)
        pull(rest, part, 1.0 / n)
        for name, value in part.items():
            total[name].narrow(model.replica_axis[name], 0, active).add_(value)
    return total


def report(
    honest: Params,
    change: Params,
    direction: Params,
    flips: Int[Tensor, " r"],
    axis: dict[str, int],
) -> Report:
    """Objectives and cosine from the honest gradient and what the flips added to it."""
    return told(
        flips,
        before=-dot(honest, direction, axis),
        moved=dot(change, direction, axis),
        norm=dot(honest, honest, axis),
        across=dot(honest, change, axis),
        changed=dot(change, change, axis),
    )


def told(
    flips: Int[Tensor, " r"],
    before: Float[Tensor, " r"],
    moved: Float[Tensor, " r"],
    norm: Float[Tensor, " r"],
    across: Float[Tensor, " r"],
    changed: Float[Tensor, " r"],
) -> Report:
    """A report from inner products of Δ, the honest gradient g and its change c: -gΔ, cΔ, gg, gc and cc."""
    poisoned = (norm + 2 * across + changed).clamp(min=0)
    # the product of two small squares would be zero where their roots' product is not
    scale = (norm.sqrt() * poisoned.sqrt()).clamp(min=torch.finfo(norm.dtype).tiny)
    cosine = ((norm + across) / scale).clamp(-1, 1)
    return Report(flips.to(norm.dtype), before, before - moved, cosine)
