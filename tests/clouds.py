"""Overlapping clouds of points: data for tests that make their own."""

import numpy as np

from turncoat import Dataset, from_arrays


def blobs(classes, n=70, m=40, d=5, spread=1.2, seed=0) -> Dataset:
    """One cloud per class, with every class in both parts."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, d)) * 1.5

    def part(size):
        y = rng.permutation(np.arange(size) % classes)
        return (centres[y] + spread * rng.normal(size=(size, d))).astype(np.float32), y

    (x, y), (x_test, y_test) = part(n), part(m)
    return from_arrays(x, y, x_test=x_test, y_test=y_test, name=f"blobs-{classes}")
