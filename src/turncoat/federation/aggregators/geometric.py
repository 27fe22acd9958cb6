"""The geometric median: the point with the smallest sum of distances to the messages."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turncoat.federation.aggregators.contract import Limit, batched
from turncoat.federation.aggregators.gram import combine, geometry, in_numpy

TOLERANCE = 1e-7
"""Largest relative change of a worker's weight at which the iteration rests."""

TINY = float(np.finfo(np.float64).tiny)


@batched(Limit("geometric_median", 2, 0, "Pillutla et al. 2022"))
def geometric_median(
    messages: Float[Tensor, "r w p"], f: int, *, smoothing: float = 1e-6, iterations: int = 100
) -> Float[Tensor, "r p"]:
    """Smoothed Weiszfeld steps from the mean: weights 1 / max(smoothing, distance), until they rest.

    Every iterate is a weighted mean of the messages, so the steps run on the Gram matrix, in float64. No
    gradient flows through the weights.

    Raises:
        TurncoatError: if 2f >= w.

    Source: Pillutla, Kakade and Harchaoui 2022, "Robust aggregation for federated learning", Algorithm 2.
    """
    space = geometry(messages)
    gram, sound = in_numpy(space)
    weights = torch.from_numpy(_weiszfeld(gram, sound, smoothing, iterations)).to(messages.device)
    return combine(weights[:, None], messages, space.broken)[:, 0]


def _weiszfeld(gram: np.ndarray, sound: np.ndarray, smoothing: float, iterations: int) -> np.ndarray:
    # By einsum, not @: threads of a second BLAS and PyTorch's hold each other up on a busy machine.
    squares = np.diagonal(gram, axis1=1, axis2=2)
    weights: np.ndarray = sound / np.maximum(sound.sum(-1, keepdims=True), 1)
    for _ in range(iterations):
        inner = np.einsum("rij,rj->ri", gram, weights)
        distances = np.sqrt(np.maximum(squares - 2 * inner + (weights * inner).sum(-1, keepdims=True), 0))
        inverse = sound / np.maximum(distances, smoothing)
        before, weights = weights, inverse / np.maximum(inverse.sum(-1, keepdims=True), TINY)
        if (np.abs(weights - before) <= TOLERANCE * weights).all():
            break
    return weights
