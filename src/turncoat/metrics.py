"""What is measured of one run and of its data: accuracy, macro F1, the last 10 % of a curve, chance, curvature."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.randomness import generator

TAIL = 0.1  # share of the rounds, from the end, over which the steadier statistic averages
BLOCK = 8  # vectors that look for the largest eigenvalue together


def confusion(
    predicted: Int[Tensor, "n r"], labels: Int[Tensor, " n"], classes: int
) -> Float[Tensor, "r c c"]:
    """Counts of (true class, predicted class) per replica."""
    replicas = predicted.shape[1]
    offset = torch.arange(replicas, device=labels.device) * classes**2
    cell = labels.unsqueeze(1) * classes + predicted + offset
    counts = torch.bincount(cell.flatten(), minlength=replicas * classes**2)
    return counts.view(replicas, classes, classes).double()


def accuracy(counts: Float[Tensor, "r c c"]) -> Float[Tensor, " r"]:
    """Share of examples on the diagonal."""
    return counts.diagonal(dim1=1, dim2=2).sum(1) / counts.sum((1, 2))


def macro_f1(counts: Float[Tensor, "r c c"]) -> Float[Tensor, " r"]:
    """Mean over classes of 2·tp / (2·tp + fp + fn); a class that never occurs, true or predicted, is left out."""
    hits = counts.diagonal(dim1=1, dim2=2)
    total = counts.sum(1) + counts.sum(2)
    seen = total > 0
    return (2 * hits / total.clamp(min=1) * seen).sum(1) / seen.sum(1)


def chance(labels: Int[Tensor, " n"]) -> float:
    """Accuracy of always answering the most frequent class."""
    return float(torch.bincount(labels).max() / len(labels))


def tail_mean(curve: Float[np.ndarray, " t"]) -> float:
    """Mean over the last 10 % of the rounds, at least one."""
    return float(np.mean(curve[-tail(len(curve)) :]))


def tail(rounds: int) -> int:
    """How many rounds the last 10 % are, at least one."""
    return max(1, round(TAIL * rounds))


def largest_eigenvalue(x: Float[Tensor, "n d"], rounds: int = 100, tolerance: float = 1e-4) -> float:
    """λ_max of XᵀX/n by power iteration on a block of vectors (Rayleigh-Ritz)."""
    # a block, drawn at random: one vector alone may be almost orthogonal to the direction that counts, and
    # would settle on a lesser eigenvalue for a while
    block = torch.randn(x.shape[1], min(BLOCK, x.shape[1]), generator=generator(0, "eigenvalue")).to(x)
    value = 0.0
    for _ in range(rounds):
        v = torch.linalg.qr(block).Q
        block = x.T @ (x @ v) / len(x)
        latest = float(torch.linalg.eigvalsh(v.T @ block)[-1])
        if abs(latest - value) <= tolerance * abs(latest):
            return latest
        value = latest
    return value
