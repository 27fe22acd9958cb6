"""What is measured: accuracy, macro F1, harm, intervals, breakdown budget, step stability."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.randomness import generator

RESAMPLES = 2000  # bootstrap resamples behind every interval
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
    return float(np.mean(curve[-max(1, round(TAIL * len(curve))) :]))


def interval(values: Float[np.ndarray, " s"], level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over seeds (Efron 1979); one value gives itself twice.

    The resamples are drawn from a fixed seed, so that a table printed twice is the same table.
    """
    values = np.asarray(values, dtype=float)
    if len(values) == 1:
        return float(values[0]), float(values[0])
    draw = generator(0, "bootstrap", len(values))
    index = torch.randint(len(values), (RESAMPLES, len(values)), generator=draw).numpy()
    low, high = np.quantile(values[index].mean(1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def intervals(
    values: Float[np.ndarray, "s t"], level: float = 0.95
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    """``interval`` of every column, with the same resamples."""
    count = len(values)
    if count == 1:
        return values[0], values[0]
    draw = generator(0, "bootstrap", count)
    index = torch.randint(count, (RESAMPLES, count), generator=draw).numpy()
    weights = np.zeros((RESAMPLES, count))
    np.add.at(weights, (np.arange(RESAMPLES)[:, None], index), 1 / count)
    low, high = np.quantile(weights @ values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def statistics(values: Float[np.ndarray, " s"]) -> dict[str, float]:
    """Mean, standard deviation (n - 1), median and 95 % bootstrap interval over seeds."""
    values = np.asarray(values, dtype=float)
    low, high = interval(values)
    std = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return {
        "mean": float(values.mean()),
        "std": std,
        "median": float(np.median(values)),
        "low": low,
        "high": high,
    }


def breakdown_budget(budgets: list[float], lows: list[float], chance_level: float) -> float:
    """Smallest global budget whose accuracy falls to chance within its interval; infinity if none does."""
    reached = [b for b, low in zip(budgets, lows, strict=True) if b > 0 and low <= chance_level]
    return min(reached, default=float("inf"))


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
