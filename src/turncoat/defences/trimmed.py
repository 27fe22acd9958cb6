"""Trimmed loss: the largest losses of a batch are left out (Shen and Sanghavi 2019)."""

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor


def kept(
    logits: Float[Tensor, "b c r"],
    labels: Integer[Tensor, "b r"],
    weights: Float[Tensor, "b r"],
    share: float,
) -> Bool[Tensor, "b r"]:
    """All but the ``share`` of largest losses, per replica, among the examples whose weight is not 0.

    Losses of one label fall with its probability, for every loss here, so cross-entropy ranks them all.
    """
    chance = logits.log_softmax(1).gather(1, labels.long().unsqueeze(1)).squeeze(1)
    chance = chance.masked_fill(weights == 0, torch.inf)
    order = chance.argsort(dim=0, stable=True)  # the largest loss first
    beyond = (
        torch.arange(len(order), device=order.device).unsqueeze(1) >= (share * (weights != 0).sum(0)).floor()
    )
    return torch.empty_like(beyond).scatter_(0, order, beyond)
