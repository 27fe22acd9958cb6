"""The geometry of a set of messages from one product: inner products, distances, weighted sums.

A rule that only needs distances between points of the messages' affine span (Krum, nearest neighbours,
Weiszfeld steps, clipping steps, the spectrum of a covariance) works on the (w, w) Gram matrix and touches
the p parameters twice: once for the product, once for the weighted sum at the end.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import pad

CHUNK = 1 << 14
"""Parameters multiplied at a time on the CPU, so that the centred copy stays small."""

BLOCK_ROWS = 32
"""Rows of the Gram matrix computed at a time; fewer make products too thin to be fast."""


@dataclass(frozen=True)
class Geometry:
    """Inner products of messages seen from a centre, and which messages are broken (their entries are 0)."""

    gram: Float[Tensor, "r w w"]
    broken: Bool[Tensor, "r w"]


def norms(messages: Float[Tensor, "r w p"]) -> Float[Tensor, "r w"]:
    """Euclidean norms; infinite for a message with a NaN, an infinity or a square beyond its dtype."""
    lengths: Tensor = torch.linalg.vector_norm(messages, dim=-1)
    return lengths.nan_to_num(torch.inf, torch.inf)


def geometry(messages: Float[Tensor, "r w p"], centre: Float[Tensor, "r p"] | None = None) -> Geometry:
    """Gram matrix of the messages minus a centre, by default the message of median norm.

    Centring keeps distances exact in float32 when messages share a large offset. One of the messages with at
    most a median norm does it, and hostile workers cannot blow it up as they could the mean.
    """
    if centre is None:
        median = norms(messages).median(-1).indices
        centre = messages[torch.arange(len(messages), device=messages.device), median]
    r, w, p = messages.shape
    step = CHUNK if messages.device.type == "cpu" else p
    gram = messages.new_zeros(r, w, w)
    for start in range(0, p, step):
        part = messages[..., start : start + step] - centre[:, None, start : start + step]
        gram = gram + _times_itself(part)
    broken = ~gram.diagonal(dim1=1, dim2=2).isfinite()
    return Geometry(gram.masked_fill(broken[:, None] | broken[..., None], 0), broken)


def _times_itself(part: Float[Tensor, "r w p"]) -> Float[Tensor, "r w w"]:
    # Block rows from the diagonal on, mirrored: the product is symmetric, and this saves up to half of it.
    # (NumPy's BLAS knows that by itself, but its threads and PyTorch's hold each other up on a busy machine.)
    w = part.shape[1]
    if w <= BLOCK_ROWS:
        return part @ part.mT
    upper = [part[:, start : start + BLOCK_ROWS] @ part[:, start:].mT for start in range(0, w, BLOCK_ROWS)]
    full = torch.cat([pad(rows, (w - rows.shape[-1], 0)) for rows in upper], 1).triu()
    return full + full.triu(1).mT


def squared_distances(space: Geometry) -> Float[Tensor, "r w w"]:
    """Squared distance between each two messages: 0 to itself, infinite to and from a broken one."""
    squares = space.gram.diagonal(dim1=1, dim2=2)
    products = space.gram + space.gram.mT  # the same both ways to the last bit, so that ties are ties
    distances = (squares[:, None] + squares[..., None] - products).clamp_min(0)
    distances = distances.masked_fill(space.broken[:, None] | space.broken[..., None], torch.inf)
    distances.diagonal(dim1=1, dim2=2).zero_()
    return distances


def distances_to(space: Geometry, weights: Float[Tensor, "r w"]) -> Float[Tensor, "r w"]:
    """Distance of each message from the point at ``sum(weights * (messages - centre))`` beyond the centre."""
    inner = (space.gram @ weights[..., None])[..., 0]
    square = (weights * inner).sum(-1, keepdim=True)
    return (space.gram.diagonal(dim1=1, dim2=2) - 2 * inner + square).clamp_min(0).sqrt()


def combine(
    weights: Float[Tensor, "r m w"], messages: Float[Tensor, "r w p"], broken: Bool[Tensor, "r w"]
) -> Float[Tensor, "r m p"]:
    """Weighted sums of the messages; a broken one counts as zeros, so that its weight 0 leaves no NaN."""
    if bool(broken.any()):
        messages = messages.masked_fill(broken[..., None], 0)
    return weights.to(messages.dtype) @ messages
