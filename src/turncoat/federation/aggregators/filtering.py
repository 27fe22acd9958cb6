"""A spectral filter: take weight from messages that stretch the covariance in its widest direction."""

import torch
from jaxtyping import Float
from torch import Tensor

from turncoat.federation.aggregators.contract import Limit, batched
from turncoat.federation.aggregators.gram import combine, geometry


@batched(Limit("caf", 2, 0, "Allouah et al. 2025"))
def caf(messages: Float[Tensor, "r w p"], f: int) -> Float[Tensor, "r p"]:
    """Covariance-bound-agnostic filter: the weighted mean with the smallest top eigenvalue on the way.

    Weights start at 1; each step lowers weight i by its share tau_i / max(tau) of the squared projection on
    the covariance's top eigenvector, until no more than w - 2f are left. The eigenvector is exact, from the
    (w, w) Gram matrix in float64, where ByzFL takes one random power step.

    Raises:
        TurncoatError: if 2f >= w.

    Source: Allouah, Guerraoui and Stephan 2025, "Towards trustworthy federated learning with untrusted
    participants", the filter as in ByzFL's implementation.
    """
    space = geometry(messages)
    gram, w = space.gram.double(), messages.shape[1]
    weights = (~space.broken).double()
    best = weights / weights.sum(-1, keepdim=True)
    least = gram.new_full((len(gram), 1), torch.inf)
    going = torch.ones_like(least, dtype=torch.bool)
    while bool(going.any()):
        total = weights.sum(-1, keepdim=True)
        shares = weights / total
        value, projections = _widest(gram, shares)
        better = going & (value < least)
        best, least = torch.where(better, shares, best), torch.where(better, value, least)
        longest = projections.masked_fill(weights == 0, 0).amax(-1, keepdim=True)
        kept = (1 - projections / longest.clamp_min(torch.finfo(gram.dtype).tiny)).clamp_min(0)
        weights = torch.where(going & (longest > 0), weights * kept, weights)
        going = going & (longest > 0) & (weights.sum(-1, keepdim=True) > w - 2 * f)
    return combine(best[:, None], messages, space.broken)[:, 0]


def _widest(gram: Float[Tensor, "r w w"], shares: Float[Tensor, "r w"]) -> tuple[Tensor, Tensor]:
    # The covariance sum_i s_i d_i d_i^T and the matrix sqrt(s_i) <d_i, d_j> sqrt(s_j) have the same top value;
    # its eigenvector u gives the direction sum_j sqrt(s_j) u_j d_j, of length sqrt(value).
    inner = gram @ shares[..., None]
    square = (shares[..., None] * inner).sum(1, keepdim=True)
    centred = gram - inner - inner.mT + square
    roots = shares.sqrt()
    values, vectors = torch.linalg.eigh(roots[..., None] * centred * roots[:, None])
    value = values[:, -1:].clamp_min(0)
    along = (centred @ (roots * vectors[..., -1])[..., None])[..., 0]
    return value, along.square() / value.clamp_min(torch.finfo(gram.dtype).tiny)
