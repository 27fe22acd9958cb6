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

    Every iterate is a weighted mean of the messages, so the steps run on the Gram matrix, in float64. Where a
    gradient is wanted, it is that of the point at which they rest, by the implicit function theorem.

    Raises:
        TurncoatError: if 2f >= w.

    Source: Pillutla, Kakade and Harchaoui 2022, "Robust aggregation for federated learning", Algorithm 2.
    """
    space = geometry(messages)
    gram, sound = in_numpy(space)
    weights = torch.from_numpy(_weiszfeld(gram, sound, smoothing, iterations)).to(messages.device)
    point = combine(weights[:, None], messages.detach(), space.broken)[:, 0]
    return _with_gradient(point, messages, smoothing) if messages.requires_grad else point


def _with_gradient(
    point: Float[Tensor, "r p"], messages: Float[Tensor, "r w p"], smoothing: float
) -> Float[Tensor, "r p"]:
    """The same point as a function of the messages: to first order as it moves with them.

    At rest Σ_i u_i = 0 with u_i = (z - m_i)/d_i. Its derivative in z is M = Σ_i (I - u_i u_iᵀ)/d_i, a number less a
    product of rank w, so that M⁻¹ takes a system of w equations (Woodbury).
    """
    away = point.unsqueeze(1) - messages
    away = away.where(
        away.isfinite().all(2, keepdim=True), torch.zeros(()).to(away)
    )  # a broken one counts for nothing
    distance = away.norm(dim=2, keepdim=True).clamp(min=smoothing)
    sound = (away.detach() != 0).any(2, keepdim=True)
    unit = away / distance * sound
    with torch.no_grad():
        near = sound / distance  # (r, w, 1)
        whole = near.sum(1, keepdim=True)
        u = unit.detach()
        inner = torch.diag_embed((whole / near.clamp(min=TINY)).squeeze(2)) - u @ u.mT
        inner = torch.where(sound & sound.mT, inner, torch.eye(inner.shape[1]).to(inner))
        inner = inner + 1e-9 * torch.diag_embed(inner.diagonal(dim1=1, dim2=2))
    force = unit.sum(1, keepdim=True)  # 0 in value
    back = torch.linalg.solve(inner, u @ force.mT)
    moved: Tensor = ((force + back.mT @ u) / whole).squeeze(1)
    return point - moved


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
