"""A sweep that is cut off and goes on ends with the same rows, bit for bit, as one that never stopped."""

import contextlib
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cut import CELLS, Rows, begin, count, rows, wait_until

from turncoat.sweep import experiment
from turncoat.sweep.runner import INTERVAL, sweep
from turncoat.sweep.store import open_store
from turncoat.training import lanes


def test_killed_and_run_again(grid: Path, whole: Rows, tmp_path: Path) -> None:
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
    assert count(store, "checkpoints") == 1
    assert store.with_name("killed.db.lock").exists()  # that nobody holds is no obstacle
    outcome = sweep(experiment.read(grid), store)
    assert outcome.trained > 0
    assert rows(store) == whole
    assert count(store, "checkpoints") == 0
    assert sweep(experiment.read(grid), store).trained == 0


def test_two_at_once_take_turns(grid: Path, whole: Rows, tmp_path: Path) -> None:
    store = tmp_path / "shared.db"
    processes = [begin(grid, store) for _ in range(2)]
    told = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    assert rows(store) == whole
    assert count(store, "environments") == 1
    assert count(store, "checkpoints") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shared.db"]


def test_a_store_whose_tables_another_sweep_is_about_to_make(grid: Path, whole: Rows, tmp_path: Path) -> None:
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
    grid: Path, whole: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
