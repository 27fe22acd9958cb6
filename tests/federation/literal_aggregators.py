"""Each paper's algorithm written out in NumPy, one worker and one step at a time: slow, to check against."""

import itertools

import numpy as np
import torch


def mean(x, f):
    return sum(x) / len(x)


def median(x, f):
    return np.median(x, axis=0)


def trimmed_mean(x, f):
    return np.array([np.mean(sorted(column)[f : len(column) - f]) for column in x.T])


def _nearest_mean(column, keep):
    ordered = sorted(column)
    centre = np.median(ordered)
    return np.mean(sorted(ordered, key=lambda value: abs(value - centre))[:keep])


def mean_around_median(x, f):
    return np.array([_nearest_mean(column, len(x) - f) for column in x.T])


def geometric_median(x, f):
    z = np.mean(x, axis=0)
    for _ in range(2000):
        beta = [1 / max(1e-6, np.linalg.norm(z - row)) for row in x]
        z = sum(b * row for b, row in zip(beta, x, strict=True)) / sum(beta)
    return z


def krum_scores(x, f, neighbours=None):
    neighbours = len(x) - f - 2 if neighbours is None else neighbours
    scores = []
    for i, row in enumerate(x):
        others = sorted(np.sum((row - other) ** 2) for j, other in enumerate(x) if j != i)
        scores.append(sum(others[:neighbours]))
    return scores


def krum(x, f):
    return x[int(np.argmin(krum_scores(x, f)))]


def multi_krum(x, f):
    best = np.argsort(krum_scores(x, f), kind="stable")[: len(x) - f]
    return np.mean(x[best], axis=0)


def bulyan(x, f):
    left, chosen = list(x), []
    theta = len(x) - 2 * f
    while len(chosen) < theta:
        neighbours = max(len(left) - f - 2, 1) if len(left) > 1 else 0
        chosen.append(left.pop(int(np.argmin(krum_scores(left, f, neighbours)))))
    return np.array([_nearest_mean(column, theta - 2 * f) for column in np.array(chosen).T])


def _clip(vector, radius):
    norm = np.linalg.norm(vector)
    return vector if norm <= radius else vector * (radius / norm)


def centered_clipping(x, f):
    v = np.median(x, axis=0)
    radius = np.median([np.linalg.norm(row - v) for row in x])
    for _ in range(3):
        v = v + sum(_clip(row - v, radius) for row in x) / len(x)
    return v


def norm_clipping(x, f):
    threshold = np.median([np.linalg.norm(row) for row in x])
    return sum(_clip(row, threshold) for row in x) / len(x)


def caf(x, f):
    n = len(x)
    c, least, best = np.ones(n), np.inf, None
    while best is None or c.sum() > n - 2 * f:
        mu = sum(ci * row for ci, row in zip(c, x, strict=True)) / c.sum()
        covariance = sum(ci * np.outer(row - mu, row - mu) for ci, row in zip(c, x, strict=True)) / c.sum()
        values, vectors = np.linalg.eigh(covariance)
        if values[-1] < least:
            least, best = values[-1], mu
        tau = ((x - mu) @ vectors[:, -1]) ** 2
        c = c * np.maximum(0, 1 - tau / tau[c > 0].max())
    return best


def nnm(x, f):
    mixed = []
    for row in x:
        nearest = np.argsort([np.sum((row - other) ** 2) for other in x], kind="stable")[: len(x) - f]
        mixed.append(np.mean(x[nearest], axis=0))
    return np.array(mixed)


def bucketing(x, f):
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0)).numpy()
    return np.array([np.mean(x[order[i : i + 2]], axis=0) for i in range(0, len(x), 2)])


def arc(x, f):
    n = len(x)
    lengths = [np.linalg.norm(row) for row in x]
    k = int(np.floor(2 * f / n * (n - f) + 1e-9))
    threshold = sorted(lengths, reverse=True)[k]
    return np.array([_clip(row, threshold) for row in x])


def two_means_inertia(points, first):
    """Sum of squared distances to the own cluster's mean."""
    return sum(((points[side] - points[side].mean(0)) ** 2).sum() for side in (first, ~first) if side.any())


def best_two_means(points):
    """The split of least inertia, by trying all: membership in the cluster of point 0."""
    n = len(points)
    splits = [np.array([True, *rest]) for rest in itertools.product([True, False], repeat=n - 1)]
    return min(splits, key=lambda first: two_means_inertia(points, first))


def lfighter(x, f, head):
    offset, classes, width = head
    rows = x[:, offset : offset + classes * width].reshape(len(x), classes, width)
    moved = [sum(np.linalg.norm(worker[c]) for worker in rows) for c in range(classes)]
    top = np.argsort(moved)[-2:]
    points = rows[:, top].reshape(len(x), -1)
    first = best_two_means(points)
    figures = []
    for side in (first, ~first):
        smallest = []
        for i in np.flatnonzero(side):
            a = points[i]
            cosines = [
                a @ points[j] / np.linalg.norm(a) / np.linalg.norm(points[j]) for j in np.flatnonzero(side)
            ]
            smallest.append(
                min(0 if j == i else c for j, c in zip(np.flatnonzero(side), cosines, strict=True))
            )
        figures.append(side.sum() / len(x) * (1 - np.mean(smallest)) if side.any() else 0)
    return x[first if figures[0] >= figures[1] else ~first].mean(0)


RULES = {
    rule.__name__: rule
    for rule in (
        mean, median, trimmed_mean, mean_around_median, geometric_median, krum, multi_krum, bulyan,
        centered_clipping, norm_clipping, caf, nnm, bucketing, arc,
    )
}  # fmt: skip
