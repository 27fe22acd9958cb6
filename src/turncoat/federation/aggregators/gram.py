"""The geometry of a set of messages from one product: inner products, distances, weighted sums.

A rule that only needs distances between points of the messages' affine span (Krum, nearest neighbours,
Weiszfeld steps, clipping steps, the spectrum of a covariance) works on the (w, w) Gram matrix and touches
the p parameters twice: once for the product, once for the weighted sum at the end.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

CHUNK = 1 << 14
"""Parameters multiplied at a time on the CPU, so that the centred copy stays small."""

BLOCK_ROWS = 32
"""Rows of the Gram matrix computed at a time; fewer make products too thin to be fast."""


@dataclass(frozen=True)
class Geometry:
    """Inner products of messages seen from a centre, and which messages are broken (their entries are 0).

    ``broken`` is None where none is, as it nearly always is: what follows can then leave the masks out.
    """

    gram: Float[Tensor, "r w w"]
    broken: Bool[Tensor, "r w"] | None


def norms(messages: Float[Tensor, "r w p"]) -> Float[Tensor, "r w"]:
    """Euclidean norms; infinite for a message with a NaN, an infinity or a square beyond its dtype."""
    lengths: Tensor = torch.linalg.vector_norm(messages, dim=-1)
    return lengths.nan_to_num(torch.inf, torch.inf)


def broken_of(lengths: Float[Tensor, "r w"]) -> Bool[Tensor, "r w"] | None:
    """Which messages of these ``norms`` are broken; None if none is."""
    return None if math.isfinite(lengths.sum().item()) else lengths.isinf()


def geometry(messages: Float[Tensor, "r w p"], centre: Float[Tensor, "r p"] | None = None) -> Geometry:
    """Gram matrix of the messages minus a centre, by default the message of median norm.

    Centring keeps distances exact in float32 when messages share a large offset. One of the messages with at
    most a median norm does it, and hostile workers cannot blow it up as they could the mean.
    """
    if centre is None:
        centre = of_each(messages, norms(messages).median(-1).indices)
    p = messages.shape[-1]
    step = CHUNK if messages.device.type == "cpu" else p
    gram = _times_itself(messages[..., :step] - centre[:, None, :step])
    for start in range(step, p, step):
        part = messages[..., start : start + step] - centre[:, None, start : start + step]
        gram = gram + _times_itself(part)
    broken = broken_of(gram.diagonal(dim1=1, dim2=2).nan_to_num(torch.inf, torch.inf))
    if broken is not None:
        gram = gram.masked_fill(broken[:, None] | broken[..., None], 0)
    return Geometry(gram, broken)


def of_each(messages: Float[Tensor, "r w p"], chosen: Int[Tensor, " r"]) -> Float[Tensor, "r p"]:
    """One message of each replica."""
    r, w, _ = messages.shape
    if r == 1:
        return messages[:, int(chosen)]  # a view: the lone replica of most callers is not copied
    return messages.flatten(0, 1).index_select(0, chosen + w * torch.arange(r, device=chosen.device))


def _times_itself(part: Float[Tensor, "r w p"]) -> Float[Tensor, "r w w"]:
    # Block rows from the diagonal on, mirrored: the product is symmetric, and this saves up to half of it.
    # (NumPy's BLAS knows that by itself, but its threads and PyTorch's hold each other up on a busy machine.)
    w = part.shape[1]
    if w <= BLOCK_ROWS:
        return part @ part.mT
    upper = [part[:, start : start + BLOCK_ROWS] @ part[:, start:].mT for start in range(0, w, BLOCK_ROWS)]
    full = torch.cat([pad(rows, (w - rows.shape[-1], 0)) for rows in upper], 1).triu()
    return full + full.triu(1).mT


def in_numpy(space: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """The Gram matrices in float64, (r, w, w), and which messages are sound, (r, w).

    For steps on (w, w) matrices: a few microseconds each in NumPy, less than PyTorch's calls would cost.
    """
    gram: np.ndarray = space.gram.detach().double().cpu().numpy()
    if space.broken is None:
        return gram, np.ones(gram.shape[:2], dtype=bool)
    return gram, (~space.broken).cpu().numpy()


def squared_distances(space: Geometry) -> Float[Tensor, "r w w"]:
    """Squared distance between each two messages: 0 to itself, infinite to and from a broken one."""
    squares = space.gram.diagonal(dim1=1, dim2=2)
    products = space.gram + space.gram.mT  # the same both ways to the last bit, so that ties are ties
    distances = (squares[:, None] + squares[..., None] - products).clamp_min(0)
    if space.broken is not None:
        distances = distances.masked_fill(space.broken[:, None] | space.broken[..., None], torch.inf)
    distances.diagonal(dim1=1, dim2=2).zero_()
    return distances


def distances_to(space: Geometry, weights: Float[Tensor, "r w"]) -> Float[Tensor, "r w"]:
    """Distance of each message from the point at ``sum(weights * (messages - centre))`` beyond the centre."""
    inner = (space.gram @ weights[..., None])[..., 0]
    square = (weights * inner).sum(-1, keepdim=True)
    return (space.gram.diagonal(dim1=1, dim2=2) - 2 * inner + square).clamp_min(0).sqrt()


def combine(
    weights: Float[Tensor, "r m w"], messages: Float[Tensor, "r w p"], broken: Bool[Tensor, "r w"] | None
) -> Float[Tensor, "r m p"]:
    """Weighted sums of the messages; a broken one counts as zeros, so that its weight 0 leaves no NaN."""
    if broken is not None:
        messages = messages.masked_fill(broken[..., None], 0)
    return weights.to(messages.dtype) @ messages
