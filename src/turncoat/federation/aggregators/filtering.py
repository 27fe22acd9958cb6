"""A spectral filter: take weight from messages that stretch the covariance in its widest direction."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turncoat.federation.aggregators.contract import Limit, batched
from turncoat.federation.aggregators.gram import combine, geometry, in_numpy

TINY = float(np.finfo(np.float64).tiny)


@batched(Limit("caf", 2, 0, "Allouah et al. 2025"))
def caf(messages: Float[Tensor, "r w p"], f: int) -> Float[Tensor, "r p"]:
    """Covariance-bound-agnostic filter: the weighted mean with the smallest top eigenvalue on the way.

    Weights start at 1; each step lowers weight i by its share tau_i / max(tau) of the squared projection on
    the covariance's top eigenvector, until no more than w - 2f are left. The eigenvector is exact, from the
    (w, w) Gram matrix in float64, where ByzFL takes one random power step. No gradient flows through the weights.

    Raises:
        TurncoatError: if 2f >= w.

    Source: Allouah, Guerraoui and Stephan 2025, "Towards trustworthy federated learning with untrusted
    participants", the filter as in ByzFL's implementation.
    """
    space = geometry(messages)
    left = messages.shape[1] - 2 * f
    shares = np.stack([_filtered(gram, sound, left) for gram, sound in zip(*in_numpy(space), strict=True)])
    weights = torch.from_numpy(shares).to(messages.device)
    return combine(weights[:, None], messages, space.broken)[:, 0]


def _filtered(gram: np.ndarray, sound: np.ndarray, left: int) -> np.ndarray:
    weights = sound.astype(float)
    best, least = weights, np.inf
    while weights.any():
        shares = weights / weights.sum()
        value, projections = _widest(gram, shares)
        if value < least:
            best, least = shares, value
        longest = projections[weights > 0].max()
        weights = weights * np.maximum(1 - projections / max(longest, TINY), 0)
        if longest <= 0 or weights.sum() <= left:
            break
    return best


def _widest(gram: np.ndarray, shares: np.ndarray) -> tuple[float, np.ndarray]:
    from scipy.linalg import lapack  # a fifth of a second to import

    # The covariance sum_i s_i d_i d_i^T and the matrix sqrt(s_i) <d_i, d_j> sqrt(s_j) have the same top value;
    # its eigenvector u gives the direction sum_j sqrt(s_j) u_j d_j, of length sqrt(value).
    inner = gram @ shares
    centred = gram - inner - inner[:, None] + shares @ inner
    roots = np.sqrt(shares)
    size = len(shares)
    values, vectors, *_ = lapack.dsyevr(roots[:, None] * centred * roots, range="I", il=size, iu=size)
    value = max(float(values[0]), 0.0)
    return value, np.square(centred @ (roots * vectors[:, 0])) / max(value, TINY)
