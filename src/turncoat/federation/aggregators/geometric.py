"""The geometric median: the point with the smallest sum of distances to the messages."""

import torch
from jaxtyping import Float
from torch import Tensor

from turncoat.federation.aggregators.contract import Limit, batched
from turncoat.federation.aggregators.gram import Geometry, combine, distances_to, geometry

TOLERANCE = 1e-7
"""Largest relative change of a worker's weight at which the iteration rests."""


@batched(Limit("geometric_median", 2, 0, "Pillutla et al. 2022"))
def geometric_median(
    messages: Float[Tensor, "r w p"], f: int, *, smoothing: float = 1e-6, iterations: int = 100
) -> Float[Tensor, "r p"]:
    """Smoothed Weiszfeld steps from the mean: weights 1 / max(smoothing, distance), until they rest.

    Every iterate is a weighted mean of the messages, so the steps run on the Gram matrix, in float64.

    Raises:
        TurncoatError: if 2f >= w.

    Source: Pillutla, Kakade and Harchaoui 2022, "Robust aggregation for federated learning", Algorithm 2.
    """
    exact = geometry(messages)
    space = Geometry(exact.gram.double(), exact.broken)
    sound = (~space.broken).double()
    weights = sound / sound.sum(-1, keepdim=True)
    for _ in range(iterations):
        inverse = sound / distances_to(space, weights).clamp_min(smoothing)
        before, weights = weights, inverse / inverse.sum(-1, keepdim=True)
        if bool(((weights - before).abs() <= TOLERANCE * weights).all()):
            break
    return combine(torch.nan_to_num(weights)[:, None], messages, space.broken)[:, 0]
