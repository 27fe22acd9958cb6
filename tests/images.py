"""Small images of three classes, and a check that a run which was cut goes on: for models of two modes."""

import numpy as np
import torch

from turncoat import Dataset, from_arrays


def images(n: int) -> Dataset:
    """Noise, the brighter the higher the class."""
    make = torch.Generator().manual_seed(3)
    x, y = torch.rand(n, 1, 8, 8, generator=make), torch.arange(n) % 3
    return from_arrays(x + y.view(-1, 1, 1, 1) / 3, y, x_test=x[:20], y_test=y[:20], name="images")


def ends_as_never_stopped(run) -> None:
    """From every third state that it could be cut at, ``run()`` ends to the bit as from its start."""
    whole = run()
    saved = [whole.to_arrays() for _ in whole.advance()]
    for arrays in saved[::3]:
        again = run()
        again.restore(arrays)
        list(again.advance())
        np.testing.assert_array_equal(again.curves(), whole.curves())
        for key, value in again.params().items():
            assert torch.equal(value, whole.params()[key])
