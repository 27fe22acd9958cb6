"""The store: what it refuses, what it gives back, and who may train what."""

import os
import resource
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

import turncoat
from turncoat import Recipe, Threat, TurncoatError
from turncoat.errors import IdleThreatWarning
from turncoat.sweep import checkpoints, experiment, owners, runner
from turncoat.sweep.cells import COLUMNS, config, random_twin
from turncoat.sweep.frames import Record, summary
from turncoat.sweep.layout import APPLICATION, VERSION
from turncoat.sweep.lock import alone
from turncoat.sweep.store import open_store
from turncoat.sweep.unit import Trained, train_stack
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
        Record(config(cell), rng.random((cell.recipe.epochs, len(CURVES))), 0.1, None)
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


def test_one_that_was_killed_but_not_waited_for_is_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert owners.is_running(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is left a zombie
    assert not owners.is_running(process.pid)
    process.wait()
    assert not owners.is_running(process.pid)


def test_a_second_sweep_waits_for_the_first_and_trains_what_is_left(tmp_path: Path) -> None:
    path, said = tmp_path / "s.db", []
    ours, all_of_it = (experiment.experiment(SMALL | {"seeds": seeds}) for seeds in (1, 2))
    with ThreadPoolExecutor(1) as threads:
        with alone(path, said.append):
            second = threads.submit(runner.sweep, all_of_it, path, tell=said.append)
            while not said:
                time.sleep(0.01)
            assert said == ["s.db: another sweep is writing to this store; waiting for its end"]
            assert not path.exists(), "it touches nothing while it waits"
            with open_store(path, create=True) as store:  # what the first one does meanwhile
                plan = list(runner.planned(experiment.cells(ours), set(), "cpu"))
                for item in plan:
                    *_, trained = train_stack(item.stack)
                    assert isinstance(trained, Trained)
                    checkpoints.finish(store, item.stack.key, trained)
        assert second.result().trained == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.db"]


def test_a_lock_that_a_dead_one_left_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "s.db.lock").touch()
    said: list[str] = []
    assert (
        runner.sweep(experiment.experiment(SMALL | {"seeds": 1}), tmp_path / "s.db", tell=said.append).trained
        == 5
    )
    assert not said


def test_a_store_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(FileLock, "acquire", refused)  # root may write everywhere
    with pytest.raises(TurncoatError, match=r"s\.db\.lock: Permission denied; is it yours to write\?"):
        runner.sweep(experiment.experiment(SMALL), tmp_path / "s.db")


def test_random_twin_is_its_own_twin() -> None:
    cells = experiment.cells(experiment.experiment(SMALL))
    random = [cell for cell in cells if cell.threat.selection == "random"]
    assert random and all(random_twin(cell) == cell for cell in random)
