"""Scikit-learn's handwritten digits: 1,797 real 8 x 8 images, part of the installation."""

import importlib.util
from pathlib import Path

import numpy as np

from turncoat.data.source import Source
from turncoat.data.split import stratified

# The set has no official test part; this split is always the same.
TEST_SHARE, SEED = 0.2, 0


def read() -> Source:
    """Return the digits with a fifth of each class held out; values are 0 to 16."""
    x, y = _values()
    kept, held_out = stratified(y, TEST_SHARE, SEED, "digits")
    names = tuple(str(digit) for digit in range(10))
    return Source(x[kept], y[kept], x[held_out], y[held_out], 10, (1, 8, 8), 16.0, names)


def _values() -> tuple[np.ndarray, np.ndarray]:
    """Features (1797, 64) and labels, from scikit-learn's file: its package takes a second to import."""
    spec = importlib.util.find_spec("sklearn")
    file = Path(str(spec and spec.origin)).with_name("datasets") / "data" / "digits.csv.gz"
    if not file.is_file():  # another version's layout
        from sklearn.datasets import load_digits

        bunch = load_digits()
        return bunch.data.astype(np.uint8), bunch.target.astype(np.int64)
    rows = np.loadtxt(file, delimiter=",", dtype=np.int64)
    return rows[:, :-1].astype(np.uint8), rows[:, -1]
