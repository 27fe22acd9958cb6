"""The store: what it refuses, what it gives back, and who may train what."""

import dataclasses
import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import turncoat
from turncoat import Recipe, Threat, TurncoatError
from turncoat.errors import IdleThreatWarning
from turncoat.sweep import experiment, leases, owners, runner
from turncoat.sweep.cells import COLUMNS, random_twin
from turncoat.sweep.frames import summary
from turncoat.sweep.layout import APPLICATION, VERSION
from turncoat.sweep.owners import Owner
from turncoat.sweep.store import Store, open_store
from turncoat.training.task import CURVES

SMALL = {"epochs": 3, "learning_rate": 0.2, "seeds": 2, "write_access": [0.0001, 0.5], "local_budget": 0.5}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "small.db"
    runner.sweep(experiment.experiment(SMALL), path)
    return path


def test_curves_are_those_of_train(small: Path) -> None:
    with open_store(small) as store:
        curves = store.curves()
    threats = [Threat(k, 0.5, selection=s) for k in (0.0001, 0.5) for s in ("optimal", "random")]
    recipe = Recipe(epochs=3, learning_rate=0.2)
    with pytest.warns(IdleThreatWarning, match="can never flip a label"):  # a store keeps such a threat too
        results = turncoat.train(turncoat.load("digits"), threats=threats, seeds=range(2), recipe=recipe)
    wanted = results.to_pandas().sort_values(["write_access", "selection", "seed", "epoch"])
    found = curves.sort_values(["write_access", "selection", "seed", "epoch"])
    columns = ["write_access", "local_budget", "selection", "seed", "epoch", *CURVES]
    pd.testing.assert_frame_equal(
        found[columns].reset_index(drop=True), wanted[columns].reset_index(drop=True), check_dtype=False
    )
    assert set(COLUMNS) | {"epoch", "chance", "step_stability"} <= set(curves.columns)
    assert len(curves) == 2 * 5 * 3
    assert curves["step_stability"].iloc[0] == results.setting.step_stability
    assert curves["chance"].iloc[0] == results.setting.chance


def test_summary_is_that_of_train(small: Path) -> None:
    with open_store(small) as store:
        found = store.summary()
    assert len(found) == 5 and (found["seeds"] == 2).all()
    clean = found[found["write_access"] == 0].iloc[0]
    attacked = found[(found["write_access"] == 0.5) & (found["selection"] == "optimal")].iloc[0]
    assert attacked["harm.mean"] == pytest.approx(clean["accuracy.mean"] - attacked["accuracy.mean"])
    assert attacked["global_budget"] == 0.25
    idle = found[found["write_access"] == 0.0001]
    assert len(idle) == 2 and (idle["flips"] == 0).all(), "a threat that can flip nothing is kept"


def test_summary_pools_no_two_settings() -> None:
    rng = np.random.default_rng(0)
    asked = experiment.experiment(
        {"epochs": [1, 2], "write_access": 0.5, "seeds": [0, 1], "scale": ["raw", "unit"]}
    )
    records = [
        runner.Record(runner.config(cell), rng.random((cell.recipe.epochs, len(CURVES))), 0.1, None)
        for cell in experiment.cells(asked)
    ]
    table = summary(records)
    assert len(table) == 2 * 2 * 3
    assert (table["seeds"] == 2).all()
    assert table["step_stability"].isna().all()
    order = np.random.default_rng(1).permutation(len(records))
    pd.testing.assert_frame_equal(table, summary([records[i] for i in order]))


def test_a_store_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database, but long enough to look like a file" * 40)
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE cells (key TEXT)")
    other.commit()
    other.close()
    for name in ("text.db", "other.db"):
        before = (tmp_path / name).read_bytes()
        for create in (False, True):
            with pytest.raises(TurncoatError, match=r"is not a turncoat store"):
                open_store(tmp_path / name, create)
        with pytest.raises(TurncoatError, match="is not a turncoat store"):
            runner.sweep(experiment.experiment(SMALL), tmp_path / name)
        assert (tmp_path / name).read_bytes() == before


def test_a_store_of_another_version(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    open_store(path, create=True).connection.close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    with pytest.raises(TurncoatError, match=f"version {VERSION + 1}.*reads versions up to {VERSION}"):
        open_store(path)


def test_a_store_that_is_absent_empty_or_nowhere(tmp_path: Path) -> None:
    with pytest.raises(TurncoatError, match="there is no such store"):
        open_store(tmp_path / "absent.db")
    assert not (tmp_path / "absent.db").exists()
    (tmp_path / "empty.db").touch()
    with pytest.raises(TurncoatError, match="the store is empty"):
        open_store(tmp_path / "empty.db")
    with open_store(tmp_path / "empty.db", create=True) as store:
        assert store.connection.execute("PRAGMA application_id").fetchone() == (APPLICATION,)
    with pytest.raises(TurncoatError, match="there is no folder"):
        open_store(tmp_path / "no" / "s.db", create=True)
    with pytest.raises(TurncoatError, match="is a folder"):
        open_store(tmp_path, create=True)


def test_nothing_is_made_for_an_experiment_that_cannot_run(tmp_path: Path) -> None:
    asked = experiment.experiment({"label": "class", "write_access": 0.5})
    with pytest.raises(TurncoatError):
        runner.sweep(asked, tmp_path / "s.db")
    with pytest.raises(TurncoatError, match="device"):
        runner.sweep(experiment.experiment({"device": "gpu", "write_access": 0.5}), tmp_path / "s.db")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk."""
    path = tmp_path / "s.db"
    with open_store(path, create=True):
        pass
    code = (
        "import resource, sys\n"
        "from turncoat.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        "main()"
    )
    grid = tmp_path / "g.toml"
    grid.write_text(
        "epochs = 2\nseeds = 1\nwrite_access = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]\nlearning_rate = 0.2\n"
    )
    command = [sys.executable, "-c", code, "sweep", str(grid), "--store", str(path)]
    environment = os.environ | {runner.INTERVAL: "0", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith(f"turncoat: {path}: ") and done.stderr.count("\n") == 1
    assert "make room" in done.stderr
    runner.sweep(experiment.read(grid), path)
    with open_store(path) as store:
        assert len(store.keys()) == 13
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 60_000


def leased(store: Store, owner: Owner, heartbeat: float) -> None:
    with store.transaction() as connection:
        connection.execute(
            "INSERT OR REPLACE INTO leases VALUES ('stack', ?, ?, ?, ?)",
            (owner.host, owner.pid, owner.nonce, heartbeat),
        )


def test_a_stack_is_taken_by_one_sweep_at_a_time(tmp_path: Path) -> None:
    me = owners.owner()
    other = dataclasses.replace(me, nonce="other")  # the same process, which runs
    far = Owner("elsewhere", 1, "far")
    dead = dataclasses.replace(me, pid=dead_pid(), nonce="dead")
    with open_store(tmp_path / "s.db", create=True) as store:
        assert leases.take(store, "stack", me) and leases.take(store, "stack", me)
        assert not leases.take(store, "stack", other)
        assert not leases.save(store, "stack", other, {"a": np.ones(2)}, 1)
        assert leases.save(store, "stack", me, {"a": np.ones(2)}, 7)
        saved = leases.checkpoint(store, "stack")
        assert saved is not None and saved[1] == 7 and saved[0]["a"].tolist() == [1, 1]
        leases.release(store, "stack", other)
        assert not leases.take(store, "stack", other)
        leases.release(store, "stack", me)
        assert leases.take(store, "stack", other)
        leased(store, far, time.time())
        assert not leases.take(store, "stack", me)
        leased(store, far, time.time() - owners.TIMEOUT - 1)
        assert leases.take(store, "stack", me)
        leased(store, dead, time.time())
        assert leases.take(store, "stack", me)


def test_a_step_that_outlasts_the_timeout_keeps_its_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attacker's turn on a large network may take longer than another sweep waits for a heartbeat."""
    monkeypatch.setattr(leases, "BEAT", 0.02)
    monkeypatch.setattr(owners, "TIMEOUT", 0.5)
    path, other = tmp_path / "s.db", Owner("elsewhere", 1, "far")
    refused = []

    asked = experiment.experiment(SMALL | {"seeds": 1})
    (stack,) = [item.stack for item in runner.planned(experiment.cells(asked), set(), "cpu")]
    advance = runner.StackRun.advance

    def slow(run: runner.StackRun) -> Iterator[int]:
        for _ in range(8):
            time.sleep(0.2)
            with open_store(path, create=True) as store:
                refused.append(not leases.take(store, stack.key, other))
        yield from advance(run)

    monkeypatch.setattr(runner.StackRun, "advance", slow)
    assert runner.sweep(asked, path).trained == len(stack.cells)
    assert refused == [True] * 8


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_one_that_was_killed_but_not_waited_for_is_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert owners.is_running(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is left a zombie
    assert not owners.is_running(process.pid)
    process.wait()
    assert not owners.is_running(process.pid)


def test_a_taken_stack_is_left_alone_until_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second sweep waits for what another holds, and ends when all cells are there."""
    path = tmp_path / "s.db"
    asked = experiment.experiment(SMALL | {"seeds": 1})
    (stack,) = [item.stack for item in runner.planned(experiment.cells(asked), set(), "cpu")]
    far = Owner("elsewhere", 1, "far")
    waits = 0
    with open_store(path, create=True) as store:
        assert leases.take(store, stack.key, far)

        def sleep(_: float) -> None:
            nonlocal waits
            waits += 1
            if waits == 3:
                leases.release(store, stack.key, far)

        monkeypatch.setattr(runner.time, "sleep", sleep)
        assert runner.sweep(asked, path).trained == 5
    assert waits == 3


def test_a_stack_lost_to_another_sweep_is_not_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that slept through its lease stops at its next checkpoint and takes what the other wrote."""
    path = tmp_path / "s.db"
    monkeypatch.setenv(runner.INTERVAL, "0")
    asked = experiment.experiment(SMALL | {"seeds": 1})
    stolen = False

    def steal(done: int, total: int) -> None:
        nonlocal stolen
        if not stolen:
            stolen = True
            with sqlite3.connect(path) as connection:
                connection.execute("UPDATE leases SET nonce = 'far', host = 'elsewhere'")
            connection.close()

    def sleep(_: float) -> None:
        monkeypatch.setattr(runner.time, "sleep", lambda _: None)
        with sqlite3.connect(path) as connection:
            assert connection.execute("SELECT count(*) FROM checkpoints").fetchone() == (0,)
            connection.execute("DELETE FROM leases")
        connection.close()

    monkeypatch.setattr(runner.time, "sleep", sleep)
    assert runner.sweep(asked, path, steal).trained == 5


def test_random_twin_is_its_own_twin() -> None:
    cells = experiment.cells(experiment.experiment(SMALL))
    random = [cell for cell in cells if cell.threat.selection == "random"]
    assert random and all(random_twin(cell) == cell for cell in random)
