"""Handwritten digits: 1,797 real 8 x 8 images, part of the installation.

They are the test part of UCI's "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998, CC BY 4.0), which
scikit-learn carries too. They lie here as well because that package takes longer to import than all else but torch.
"""

from importlib.resources import files

import numpy as np

from turncoat.data.source import Source

FILE = "digits.npz"


def read() -> Source:
    """Return the digits with a fifth of each class held out, always the same one; values are 0 to 16."""
    with files("turncoat.data").joinpath(FILE).open("rb") as file:
        held = np.load(file, allow_pickle=False)
        x, x_test = held["x"], held["x_test"]
        y, y_test = held["y"].astype(np.int64), held["y_test"].astype(np.int64)
    names = tuple(str(digit) for digit in range(10))
    return Source(x, y, x_test, y_test, 10, (1, 8, 8), 16.0, names)
