"""Scikit-learn's handwritten digits: 1,797 real 8 x 8 images, part of the installation."""

import numpy as np

from turncoat.data.source import Source
from turncoat.data.split import stratified

# The set has no official test part; this split is always the same.
TEST_SHARE, SEED = 0.2, 0


def read() -> Source:
    """Return the digits with a fifth of each class held out; values are 0 to 16."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x, y = bunch.data.astype(np.uint8), bunch.target.astype(np.int64)
    kept, held_out = stratified(y, TEST_SHARE, SEED, "digits")
    names = tuple(str(digit) for digit in range(10))
    return Source(x[kept], y[kept], x[held_out], y[held_out], 10, (1, 8, 8), 16.0, names)
