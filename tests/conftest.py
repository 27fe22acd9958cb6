"""Small data sets that every test may share; nothing here is changed by a test."""

import gc
import os
import signal

import pytest
import torch

import sparing_checks  # before anything of turncoat is imported
from clouds import blobs
from turncoat import load

# the stacks are small: more threads than one only wait for each other
torch.set_num_threads(1)
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.pop("COLUMNS", None)  # output is as wide as it must be, unless a test says how wide
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # what a shell's background jobs are started with
    signal.signal(signal.SIGINT, signal.default_int_handler)


gc.disable()  # collecting tests makes millions of objects, and no garbage worth a search


def pytest_collection_finish() -> None:
    """What there is now stays to the end: searching through it time and again took a tenth of all tests' time."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_runtest_setup() -> None:
    sparing_checks.begin_test()


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
    with sparing_checks.unchecked():
        yield
