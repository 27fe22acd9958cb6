"""Sweeps in several processes: the same rows whoever is killed, and every error told with its cell."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from cut import CELLS, Rows, begin, count, rows, wait_until

from turncoat import TurncoatError
from turncoat.sweep import experiment, runner
from turncoat.sweep.executor import Job, Pace
from turncoat.sweep.processes import processes
from turncoat.sweep.runner import INTERVAL, sweep
from turncoat.sweep.store import open_store

NET = """
import multiprocessing

from torch import nn


class Net(nn.Linear):
    def forward(self, x):
        if multiprocessing.parent_process() is not None and len(x) > 8:  # a batch
            raise ArithmeticError("too much")
        return super().forward(x.flatten(1))


def make(classes):
    return Net(64, classes)
"""


def test_two_processes_share_the_work(grid: Path, whole: Rows, tmp_path: Path) -> None:
    store = tmp_path / "shared.db"
    command = [sys.executable, "-m", "turncoat", "sweep", str(grid), "--store", str(store), "--jobs", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"{CELLS} cells, {CELLS} of them trained now" in done.stdout
    assert done.stderr == "turncoat: jobs is 3, but there is work for 2: 2 start\n"
    assert rows(store) == whole
    assert count(store, "checkpoints") == 0


def test_a_process_that_is_killed(
    grid: Path, whole: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(INTERVAL, "0.02")
    store, asked = tmp_path / "s.db", experiment.read(grid)

    def kill(done: int, total: int) -> None:
        if done > total / 4:
            for process in multiprocessing.active_children()[:1]:
                os.kill(process.pid or 0, signal.SIGKILL)

    with pytest.raises(TurncoatError, match=r"ended before its work: killed.*training the cell .*seed"):
        sweep(asked, store, kill, jobs=2)
    assert not multiprocessing.active_children(), "the other has ended too"
    assert count(store, "checkpoints") > 0
    told: list[int] = []
    sweep(asked, store, lambda done, _: told.append(done), jobs=2)
    assert told[0] > 0, "it goes on from what the killed one had told"
    assert rows(store) == whole


def test_the_first_process_is_killed(grid: Path, whole: Rows, tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    first = begin(grid, store, "--jobs", "2")
    wait_until(lambda: count(store, "checkpoints") > 0, first)
    first.kill()
    first.communicate(timeout=120)  # the pipe stays open as long as a worker lives
    assert len(rows(store)) < CELLS
    sweep(experiment.read(grid), store)
    assert rows(store) == whole


def test_an_error_in_a_process_is_the_sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("failing_net.py").write_text(NET)
    keys = {"model": "failing_net:make", "epochs": 1, "seeds": 2, "write_access": 0.5}
    with pytest.raises(
        TurncoatError, match=r'too much \(while training the cell \{"epochs":1,"model":"failing'
    ):
        sweep(experiment.experiment(keys), "s.db", jobs=2)
    assert not multiprocessing.active_children()


def test_a_process_without_the_data(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("x,kind\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(40)))
    keys = {"dataset": str(file), "label": "kind", "epochs": 1, "seeds": 1, "write_access": 0.5}
    (item,) = runner.planned(experiment.cells(experiment.experiment(keys)), set(), "cpu")
    file.unlink()
    with pytest.raises(TurncoatError, match=r"t\.csv.*\(while training the cell") as caught:
        list(processes([Job(item.stack, 1)], Pace(0.0), 1))
    assert "\n" not in str(caught.value)


def test_threads_are_a_share_by_what_was_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by what is left to do: a sweep that goes on ends with the same bits."""
    said: list[str] = []
    asked = experiment.experiment({"epochs": 1, "seeds": 1, "write_access": 0.5})
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    sweep(asked, tmp_path / "s.db", jobs=2, tell=said.append)
    assert said == ["jobs is 2, but there is work for 1: 1 start"]
    monkeypatch.undo()
    with open_store(tmp_path / "s.db") as store:
        assert [origin["threads"] for origin in store.origins()] == [3]


@pytest.mark.parametrize("jobs", [0, -1])
def test_jobs_are_counted_in_whole_numbers(grid: Path, tmp_path: Path, jobs: int) -> None:
    with pytest.raises(TurncoatError, match=r"jobs is .*whole number"):
        sweep(experiment.read(grid), tmp_path / "store.db", jobs=jobs)
    assert not (tmp_path / "store.db").exists()
