"""A sweep that is cut off and goes on ends with the same rows, bit for bit, as one that never stopped."""

import contextlib
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from turncoat import TurncoatError
from turncoat.sweep import experiment, processes, runner
from turncoat.sweep.owners import is_running
from turncoat.sweep.runner import INTERVAL, sweep
from turncoat.sweep.store import open_store
from turncoat.training import lanes

GRID = """
epochs = 10
learning_rate = 0.2
seeds = 2
write_access = [0.2, 1.0]
local_budget = [0.25, 0.5]
goal = ["untargeted", "targeted"]
"""
CELLS = 2 * (1 + 2 * 2 * 3)


def rows(path: Path) -> dict[str, tuple[Any, ...]]:
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


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sweep") / "grid.toml"
    path.write_text(GRID)
    return path


@pytest.fixture(scope="module")
def whole(grid: Path) -> dict[str, tuple[Any, ...]]:
    """The rows of a sweep that was never stopped."""
    store = grid.with_name("whole.db")
    assert runner.sweep(experiment.read(grid), store).trained == CELLS
    return rows(store)


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


def test_killed_and_run_again(grid: Path, whole: dict[str, tuple[Any, ...]], tmp_path: Path) -> None:
    store = tmp_path / "killed.db"

    def steps() -> int:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
            row = connection.execute("SELECT max(steps) FROM checkpoints").fetchone()
        connection.close()
        return int(row[0] or 0)

    process = begin(grid, store)
    wait_until(lambda: steps() > 0, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert count(store, "checkpoints") == count(store, "leases") == 1
    outcome = sweep(experiment.read(grid), store)  # the dead owner's lease is no obstacle
    assert outcome.trained > 0
    assert rows(store) == whole
    assert count(store, "checkpoints") == count(store, "leases") == 0
    assert sweep(experiment.read(grid), store).trained == 0


def test_two_at_once_share_the_work(grid: Path, whole: dict[str, tuple[Any, ...]], tmp_path: Path) -> None:
    store = tmp_path / "shared.db"
    processes = [begin(grid, store) for _ in range(2)]
    told = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    assert rows(store) == whole
    assert count(store, "environments") == 1
    assert count(store, "checkpoints") == count(store, "leases") == 0


def test_a_store_whose_tables_another_sweep_is_about_to_make(
    grid: Path, whole: dict[str, tuple[Any, ...]], tmp_path: Path
) -> None:
    store = tmp_path / "begun.db"
    with sqlite3.connect(store) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    assert store.stat().st_size
    assert sweep(experiment.read(grid), store).trained == CELLS
    assert rows(store) == whole


class Cut(Exception):
    """Stands for whatever stops a sweep."""


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"schedule": "step"},
        {"schedule": "once", "goal": ["targeted", "untargeted"]},
        {"knowledge": "surrogate"},
        {"placement": "fixed", "momentum": 0.9, "weight_decay": 0.001},
        {"optimizer": "adam", "learning_rate": 0.01, "aware": [False, True]},
        {"patience": 1, "epochs": 6, "learning_rate": 2.0, "goal": "targeted"},
        {"model": "mlp", "optimizer": "adam", "learning_rate": 0.01},
        {"workers": 5, "hostile": 1, "aggregator": "trimmed_mean", "worker_momentum": 0.5},
    ],
    ids=lambda more: "-".join(map(str, more)) or "plain",
)
def test_cut_at_every_kind_of_moment(
    more: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {"epochs": 3, "batch_size": 256, "learning_rate": 0.5, "seeds": 1, "write_access": [0.3, 1.0]}
    keys["local_budget"] = 0.5
    if "workers" in more:
        del keys["write_access"]  # it is the hostile workers' share
    asked = experiment.experiment(keys | more)
    sweep(asked, tmp_path / "whole.db")
    monkeypatch.setenv(INTERVAL, "0")  # a checkpoint after every step
    store = tmp_path / "cut.db"
    for moment in (3, 9, 14, 1):
        left = iter(range(moment, 0, -1))

        def cut(done: int, total: int, left: Iterator[int] = left) -> None:
            if next(left) == 1:
                raise Cut

        with contextlib.suppress(Cut):
            sweep(asked, store, cut)
    sweep(asked, store)
    assert rows(store) == rows(tmp_path / "whole.db")


def test_cut_while_stacks_train_side_by_side(
    grid: Path, whole: dict[str, tuple[Any, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "lanes", lambda device, count: [contextlib.nullcontext() for _ in range(3)])
    monkeypatch.setenv(INTERVAL, "0")  # a checkpoint after every step
    store = tmp_path / "cut.db"
    left = iter(range(60, 0, -1))

    def cut(done: int, total: int) -> None:
        if next(left) == 1:
            raise Cut

    with pytest.raises(Cut):
        sweep(experiment.read(grid), store, cut)
    assert count(store, "checkpoints") == 2  # one per seed, both under way
    assert count(store, "leases") == 0
    told: list[tuple[int, int]] = []
    assert sweep(experiment.read(grid), store, lambda *now: told.append(now)).trained == CELLS
    assert rows(store) == whole
    assert told == sorted(told) and told[-1][0] == told[-1][1]


def test_a_checkpoint_saves_the_work_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = experiment.experiment({"epochs": 4, "write_access": 0.5, "seeds": 1})
    monkeypatch.setenv(INTERVAL, "0")
    seen: list[int] = []

    def cut(done: int, total: int) -> None:
        seen.append(done)
        if done > total / 2:
            raise Cut

    with pytest.raises(Cut):
        sweep(asked, tmp_path / "s.db", cut)
    again: list[int] = []
    sweep(asked, tmp_path / "s.db", lambda done, total: again.append(done))
    assert again[0] > seen[-3]
    assert again == sorted(again)


def test_what_one_file_has_trained_no_other_trains_again(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    shared = {"epochs": 2, "learning_rate": 0.2, "seeds": 2}
    one = experiment.experiment(shared | {"write_access": [0.2, 0.5]})
    two = experiment.experiment(shared | {"write_access": [0.5, 1.0]})
    assert sweep(one, store).trained == 2 * 5
    before = rows(store)
    assert sweep(two, store).trained == 2 * 2
    assert sweep(two, store).trained == sweep(one, store).trained == 0
    assert before.items() <= rows(store).items()


def test_more_seeds_train_only_those_that_are_new(tmp_path: Path) -> None:
    keys = {"epochs": 2, "write_access": 0.5, "selection": "optimal"}
    assert sweep(experiment.experiment(keys | {"seeds": 2}), tmp_path / "s.db").trained == 4
    assert sweep(experiment.experiment(keys | {"seeds": [1, 5]}), tmp_path / "s.db").trained == 2
    with open_store(tmp_path / "s.db") as store:
        assert store.summary()["seeds"].tolist() == [3, 3]


def test_two_processes_share_the_work(grid: Path, whole: dict[str, tuple[Any, ...]], tmp_path: Path) -> None:
    store = tmp_path / "shared.db"
    command = [sys.executable, "-m", "turncoat", "sweep", str(grid), "--store", str(store), "--jobs", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"{CELLS} cells, {CELLS} of them trained now" in done.stdout
    assert rows(store) == whole
    assert count(store, "leases") == count(store, "checkpoints") == 0


def test_helpers_end_when_the_first_process_is_killed(tmp_path: Path) -> None:
    (tmp_path / "long.toml").write_text("epochs = 100000\nseeds = 2\nwrite_access = 0.5\n")
    store = tmp_path / "store.db"

    def owners() -> list[int]:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
            found = [int(pid) for (pid,) in connection.execute("SELECT pid FROM leases")]
        connection.close()
        return found

    first = begin(tmp_path / "long.toml", store, "--jobs", "2")
    try:
        wait_until(lambda: len(owners()) == 2, first)
        (helper,) = set(owners()) - {first.pid}
        assert is_running(helper)
    finally:
        first.kill()
    first.communicate(timeout=60)  # the pipe stays open as long as a helper lives
    while is_running(helper):  # between closing its files and having ended
        time.sleep(0.01)


def test_helpers_take_no_more_threads_than_there_are(
    grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, seen = experiment.read(grid), []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", seen.append)
    with processes.helped(partial(runner.sweep, asked, tmp_path / "store.db"), 3):
        assert len(multiprocessing.active_children()) == 2
    assert seen == [2, 8]
    assert runner.sweep(asked, tmp_path / "store.db").trained <= CELLS


@pytest.mark.parametrize("jobs", [0, -1])
def test_jobs_are_counted_in_whole_numbers(grid: Path, tmp_path: Path, jobs: int) -> None:
    with pytest.raises(TurncoatError, match=r"jobs is .*whole number"):
        runner.sweep(experiment.read(grid), tmp_path / "store.db", jobs=jobs)
    assert not (tmp_path / "store.db").exists()
