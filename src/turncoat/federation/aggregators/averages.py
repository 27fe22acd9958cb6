"""The plain average, the aggregator that one worker alone can throw anywhere."""

import math

import torch
from jaxtyping import Float
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
