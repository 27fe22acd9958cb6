"""A small sweep to be cut off, from outside and from inside, and what its store then holds."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from turncoat.sweep.runner import INTERVAL

GRID = """
epochs = 10
learning_rate = 0.2
seeds = 2
write_access = [0.2, 1.0]
local_budget = [0.25, 0.5]
goal = ["untargeted", "targeted"]
"""
CELLS = 2 * (1 + 2 * 2 * 3)


Rows = dict[str, tuple[Any, ...]]


def rows(path: Path) -> Rows:
    """Everything but when and where a cell was computed."""
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT key, config, curves, chance, step_stability FROM cells").fetchall()
    connection.close()
    return {row[0]: row[1:] for row in found}


def count(path: Path, table: str) -> int:
    with sqlite3.connect(path) as connection:
        (number,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    connection.close()
    return int(number)


def begin(grid: Path, store: Path, *more: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "turncoat", "sweep", str(grid), "--store", str(store), "--quiet", *more]
    return subprocess.Popen(
        command, env=os.environ | {INTERVAL: "0.05", "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE
    )


def wait_until(found: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        try:
            if found():
                return
        except sqlite3.Error:  # the store is not there yet
            pass
        time.sleep(0.01)
    pytest.fail("the sweep ended before it could be killed")
