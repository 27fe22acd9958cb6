"""Stores last: one of an older version shows the same figures, trains nothing again, and no new field moves a key."""

import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from old_stores import CELLS, DATA, raw, shown, unpacked

import turncoat
from turncoat import TurncoatError
from turncoat.federation.visibility import SIGNS
from turncoat.reproduce import evidence, extracts
from turncoat.sweep import experiment, frames, layout, opening, runner
from turncoat.sweep import store as store_module
from turncoat.sweep.cells import DEFAULTS, key
from turncoat.sweep.store import known_keys, open_store
from turncoat.training.task import CURVES

MEANS = [
    f"{name}.mean" for name in ("accuracy", "accuracy_last", "macro_f1", "macro_f1_last", "harm", "harm_last")
]


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of version 0.1.0, in a folder of its own; the working folder has its data file."""
    monkeypatch.chdir(DATA)
    return unpacked(tmp_path)


def asked(rest: bool = False) -> experiment.Experiment:
    """What the store holds, or also the rest of it, which was cut off."""
    whole = experiment.read(DATA / "store-0.1.0.toml")
    return whole if rest else experiment.Experiment("", whole.axes, whole.seeds, "cpu", whole.also[:-1])


def same_figures(summary: pd.DataFrame) -> None:
    before = shown()
    how = [name for name in DEFAULTS if name in before]
    columns = [*how, "seeds", "flips", "chance", "step_stability", *MEANS]
    both = [
        frame[columns].fillna({"label": "", "fingerprint": ""}).sort_values(how, ignore_index=True)
        for frame in (summary, before)
    ]
    assert len(both[0]) == len(both[1]) == 30
    pd.testing.assert_frame_equal(*both, check_dtype=False, rtol=1e-12)


def test_defaults_stay_as_they_are() -> None:
    """A key hashes what differs from these, and a config that lacks a column means them.

    To add a field, add it here. To change a default, write a migration: a new VERSION, and a step in STEPS that puts
    the former default into every config that lacks the column.
    """
    assert DEFAULTS == {
        "dataset": "digits",
        "scale": "unit",
        "label": None,
        "test_share": 0.2,
        "model": "logistic",
        "drop": None,
        "group": None,
        "workers_from": None,
        "epochs": 200,
        "batch_size": 64,
        "learning_rate": 0.001,
        "optimizer": "sgd",
        "momentum": 0.0,
        "weight_decay": 0.0,
        "patience": 0,
        "held_out": 0.1,
        "defence": "none",
        "precision": "float32",
        "clip_norm": 0.0,
        "lr_schedule": "constant",
        "warmup": 0,
        "workers": 0,
        "hostile": 0,
        "partition": "iid",
        "local_steps": 1,
        "aggregator": "mean",
        "tolerated": -1,
        "worker_momentum": 0.0,
        "participation": 1.0,
        "weighting": "equal",
        "write_access": 0.0,
        "local_budget": 1.0,
        "goal": "untargeted",
        "selection": "optimal",
        "schedule": "epoch",
        "placement": "resampled",
        "knowledge": "omniscient",
        "aware": False,
        "last_rounds": 0,
        "fingerprint": "",
    }


def test_keys_stay_as_they_are(old: Path) -> None:
    cells = experiment.cells(asked())
    together = "\n".join(sorted(map(key, cells)))
    assert hashlib.sha256(together.encode()).hexdigest() == (
        "161b19080abedc640099fef6e809c29a56b75c4173b802939661f7798e86d923"
    )


def test_an_old_store_is_read_as_it_lies(old: Path) -> None:
    before = old.read_bytes()
    with open_store(old) as store:
        same_figures(store.summary())
        assert store.lengths() == {2, 3, 6, 200}
        assert [origin["turncoat"] for origin in store.origins()] == ["0.1.0"]
        assert len(store.curves()) and len(store.visibility())
    assert len(known_keys(old)) == CELLS
    assert old.read_bytes() == before
    assert [path.name for path in old.parent.iterdir()] == ["old.db"]


def test_an_old_store_in_a_folder_that_cannot_be_written(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = old.read_bytes()
    monkeypatch.setattr(opening.os, "access", lambda *_: False)  # root may write everywhere
    with open_store(old) as store:
        same_figures(store.summary())
        assert [path.name for path in old.parent.iterdir()] == ["old.db"]
    assert old.read_bytes() == before


def test_what_was_written_last_is_not_left_out(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep was killed, and its store lies where nobody can put the two files together."""
    with open_store(old, create=True) as store:
        with store.transaction() as connection:
            connection.execute("INSERT INTO checkpoints VALUES ('stack', x'00', 0)")
        copy = tmp_path / "copy" / "old.db"
        copy.parent.mkdir()
        for name in ("old.db", "old.db-wal"):
            shutil.copy(old.with_name(name), copy.with_name(name))
    by_uri = opening._by_uri

    class Unshared(sqlite3.Connection):
        def execute(self, *_: Any) -> sqlite3.Cursor:
            raise sqlite3.OperationalError("unable to open database file")

    def alone(file: Path, options: str) -> sqlite3.Connection:
        return (
            sqlite3.connect(":memory:", factory=Unshared) if options == "mode=ro" else by_uri(file, options)
        )

    monkeypatch.setattr(opening.os, "access", lambda *_: False)
    monkeypatch.setattr(opening, "_by_uri", alone)
    with pytest.raises(TurncoatError, match=r"lies in old\.db-wal.*copy both"):
        open_store(copy)
    copy.with_name("old.db-wal").write_bytes(b"")
    with open_store(copy) as store:
        same_figures(store.summary())


def test_a_sweep_trains_nothing_of_an_old_store_again(old: Path) -> None:
    outcome = runner.sweep(asked(), old)
    assert outcome.trained == 0 and len(outcome.cells) == CELLS - 3  # without those of a model of one's own


def test_a_sweep_goes_on_with_an_old_store(old: Path) -> None:
    cells = raw(old)
    assert runner.sweep(asked(rest=True), old).trained == 4
    assert runner.sweep(asked(rest=True), old).trained == 0
    after = raw(old)
    assert len(after) == CELLS + 4
    assert set(cells) < set(after)
    with open_store(old) as store:
        summary, origins = store.summary(), store.origins()
        assert layout.version_of(store.connection) == layout.VERSION
    same_figures(summary[summary["write_access"] != 0.125])
    assert [(origin["turncoat"], origin["cells"]) for origin in origins] == [
        ("0.1.0", CELLS),
        (turncoat.__version__, 4),
    ]


def test_a_migration_that_is_killed_leaves_the_old_store(old: Path) -> None:
    cells = raw(old)
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from turncoat.sweep import layout, opening\n"
        "rest = iter(range(40))\n"
        "whole = layout.sparse_3\n"
        "def sparse_3(text):\n"
        "    if next(rest, None) is None:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return whole(text)\n"
        "layout._FUNCTIONS = (sparse_3, layout.key_3)\n"
        "opening.connected(Path(sys.argv[1]), create=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(old)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert raw(old) == cells
    with open_store(old) as store:
        assert layout.version_of(store.connection) == 2
        same_figures(store.summary())
    with open_store(old, create=True) as store:
        assert layout.version_of(store.connection) == layout.VERSION
    assert raw(old) == cells


def test_two_that_migrate_at_once(old: Path) -> None:
    cells = raw(old)
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from turncoat.sweep.opening import connected\n"
        "connected(Path(sys.argv[1]), create=True).close()\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(old)]) for _ in range(3)]
    assert [process.wait() for process in both] == [0, 0, 0]
    assert raw(old) == cells
    with open_store(old) as store:
        assert layout.version_of(store.connection) == layout.VERSION
        same_figures(store.summary())


def test_an_old_store_that_an_older_version_works_on(old: Path) -> None:
    before = raw(old)
    with sqlite3.connect(old) as connection:
        lease = ("stack", opening.owner().host, os.getpid(), "nonce", time.time())
        connection.execute("INSERT INTO leases VALUES (?, ?, ?, ?, ?)", lease)
    connection.close()
    with pytest.raises(TurncoatError, match=rf"older version.*process {os.getpid()}.*end"):
        open_store(old, create=True)
    assert raw(old) == before
    with open_store(old) as store:
        same_figures(store.summary())


LEASES = (
    "CREATE TABLE leases (stack TEXT PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL, nonce TEXT NOT NULL,"
    " heartbeat REAL NOT NULL)"
)


def test_a_store_of_version_3(tmp_path: Path) -> None:
    """It had a table of leases, by which sweeps shared the stacks."""
    path, grid = tmp_path / "s.db", experiment.experiment({"epochs": 1, "seeds": 1, "write_access": 0.5})
    runner.sweep(grid, path)
    with sqlite3.connect(path) as connection:
        connection.execute(LEASES)
        connection.execute("INSERT INTO leases VALUES ('stack', 'elsewhere', 1, 'nonce', 0)")  # long dead
        connection.execute("PRAGMA user_version = 3")
    connection.close()
    before = raw(path)
    with open_store(path) as store:
        assert len(store.summary()) == 3 and layout.version_of(store.connection) == 3
    assert runner.sweep(grid, path).trained == 0
    more = experiment.experiment({"epochs": 1, "seeds": 2, "write_access": 0.5})
    assert runner.sweep(more, path).trained == 3
    with open_store(path) as store:
        assert layout.version_of(store.connection) == layout.VERSION
        tables = {name for (name,) in store.connection.execute("SELECT name FROM sqlite_master")}
        assert "leases" not in tables and {"cells", "checkpoints", "environments"} <= tables
    assert set(before) < set(raw(path))


def test_what_is_measured_may_grow_at_its_end(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves and samples are kept as plain arrays, so their columns keep their places."""
    assert CURVES == (
        "accuracy",
        "macro_f1",
        "test_loss",
        "flips",
        "objective_before",
        "objective_after",
        "cosine",
        "train_accuracy",
        "objective_before_in_training",
        "objective_after_in_training",
    )
    assert SIGNS == ("norm", "cosine", "example_norm", "label_shift")
    for module in (store_module, frames):
        monkeypatch.setattr(module, "CURVES", (*CURVES, "regret"))
    monkeypatch.setattr(store_module, "SIGNS", (*SIGNS, "age"))
    with open_store(old) as store:
        curves, records = store.curves(), store.records()
    for name in ("train_accuracy", "regret"):
        assert curves[name].isna().all()
    assert curves["accuracy"].notna().all()
    assert {r.samples.shape[-1] for r in records if r.samples is not None} == {5}
    monkeypatch.setattr(store_module, "CURVES", CURVES[:6])
    with (
        open_store(old) as store,
        pytest.raises(TurncoatError, match=r"old\.db: 1 columns beyond 'objective_after'"),
    ):
        store.records()


def test_a_store_older_than_any_release(old: Path) -> None:
    with sqlite3.connect(old) as connection:
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    for create in (False, True):
        with pytest.raises(TurncoatError, match="version 1, older than any release"):
            open_store(old, create)


def run(*args: object, newer: bool = True) -> "subprocess.CompletedProcess[str]":
    program = [str(Path(__file__).with_name("newer.py"))] if newer else ["-m", "turncoat"]
    return subprocess.run(
        [sys.executable, *program, *map(str, args)], capture_output=True, text=True, check=False
    )


def test_a_new_field_moves_no_key(old: Path, tmp_path: Path) -> None:
    """The next version has a new field of a threat, a recipe and a federation; all that was trained stays known."""
    grid = tmp_path / "grid.toml"
    grid.write_text((DATA / "store-0.1.0.toml").read_text())
    done = run("sweep", grid, "--store", old)
    assert "58 cells, 4 of them trained now" in done.stdout, done.stderr
    assert runner.sweep(asked(rest=True), old).trained == 0, "both versions write the same keys"
    done = run("results", "--store", old, "--csv", tmp_path / "new.csv")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "new.csv", keep_default_na=False, na_values=[""])
    assert (table["at"] == "tail").all() and (table["defence"] == "none").all()
    same_figures(table[table["write_access"] != 0.125])


def test_extracts_are_read_with_a_new_field(old: Path, tmp_path: Path) -> None:
    cells = [cell for cell in experiment.cells(asked()) if cell.problem.dataset == "digits"]
    found = evidence.from_store(old, cells, cells)
    extracts.write(found, tmp_path)
    code = (
        "import sys, newer\n"
        "from pathlib import Path\n"
        "from turncoat.reproduce import extracts\n"
        "found = extracts.read(Path(sys.argv[1]))\n"
        "assert set(found.points['at']) == set(found.curves['at']) == {'tail'}\n"
        "print(*found.points['key'], '|', *found.curves['key'].unique())\n"
    )
    paths = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True, env=paths
    ).stdout
    points, curves = (set(part.split()) for part in said.split("|"))
    assert points == set(found.points["key"]) and len(points) == len(cells)
    assert curves == set(found.curves["key"])


def test_what_a_newer_version_wrote_is_told_in_one_line(tmp_path: Path) -> None:
    grid, store = tmp_path / "grid.toml", tmp_path / "new.db"
    grid.write_text('epochs = 1\nseeds = 1\nwrite_access = 0.5\nat = ["tail", "last"]\n')
    done = run("sweep", grid, "--store", store)
    assert "5 cells, 5 of them trained now" in done.stdout, done.stderr
    done = run("results", "--store", store, newer=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"turncoat: {store}: unknown field 'at': a turncoat newer than")
    shutil.copy(store, tmp_path / "other.db")
    known = experiment.experiment({"epochs": 1, "seeds": 1, "write_access": 0.5})
    assert runner.sweep(known, tmp_path / "other.db").trained == 0, "what it knows, it finds"
