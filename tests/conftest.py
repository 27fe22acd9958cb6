"""Small data sets that every test may share; nothing here is changed by a test."""

import os

import numpy as np
import pytest
import torch
from jaxtyping import config

from turncoat import from_arrays, load

# the stacks are small: more threads than one only wait for each other
torch.set_num_threads(1)
os.environ.setdefault("MPLBACKEND", "Agg")


def blobs(classes, n=70, m=40, d=5, spread=1.2, seed=0):
    """Overlapping clouds, one per class, with every class in both parts."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, d)) * 1.5

    def part(size):
        y = rng.permutation(np.arange(size) % classes)
        return (centres[y] + spread * rng.normal(size=(size, d))).astype(np.float32), y

    (x, y), (x_test, y_test) = part(n), part(m)
    return from_arrays(x, y, x_test=x_test, y_test=y_test, name=f"blobs-{classes}")


@pytest.fixture(scope="session")
def binary():
    return blobs(2)


@pytest.fixture(scope="session")
def multi():
    return blobs(4, seed=1)


@pytest.fixture(scope="session")
def digits():
    return load("digits", "unit")


@pytest.fixture
def as_users_run():
    """Without the shape and type checks of the tests, which would come before turncoat's own."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)
