"""The plain average, the aggregator that one worker alone can throw anywhere."""

import math

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from turncoat.federation.aggregators.contract import Limit, batched


@batched(Limit("mean", 1, 0, "at least one honest worker"))
def mean(messages: Float[Tensor, "r w p"], f: int) -> Float[Tensor, "r p"]:
    """Average all messages; with f > 0 those that hold a NaN or an infinity are left out.

    f says nothing else here: finite messages all count, however far away. With f = 0 a NaN spreads.

    Raises:
        TurncoatError: if f >= w.

    Source: McMahan et al. 2017, "Communication-efficient learning of deep networks from decentralized data".
    """
    average = messages.mean(1)
    if f == 0 or math.isfinite(average.sum().item()):  # one pass over p, not over w * p
        return average
    sound = messages.isfinite().all(-1, keepdim=True)
    return torch.where(sound, messages, 0).sum(1) / sound.sum(1)


@batched(Limit("mean", 1, 0, "at least one honest worker"))
def weighted_mean(
    messages: Float[Tensor, "r w p"], f: int, *, weights: Shaped[Tensor, " w"]
) -> Float[Tensor, "r p"]:
    """Average all messages, each as often as its weight says; broken ones as in ``mean``.

    Raises:
        TurncoatError: if f >= w.

    Source: McMahan et al. 2017, "Communication-efficient learning of deep networks from decentralized data",
    Algorithm 1, where the weights are the numbers of examples.
    """
    share = weights.to(messages).expand(messages.shape[:2])
    average = torch.einsum("rw,rwp->rp", share, messages) / share.sum(1, keepdim=True)
    if f == 0 or math.isfinite(average.sum().item()):
        return average
    sound = messages.isfinite().all(-1, keepdim=True)
    share = share * sound.squeeze(-1)
    return torch.einsum("rw,rwp->rp", share, torch.where(sound, messages, 0)) / share.sum(1, keepdim=True)
