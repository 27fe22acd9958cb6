"""Models of one's own: edited code is other cells, and no checkpoint of another shape is gone on with."""

import contextlib
import importlib
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from turncoat import TurncoatError, load, models
from turncoat.sweep import experiment, runner
from turncoat.sweep.prepared import prepared
from turncoat.sweep.runner import INTERVAL, sweep
from turncoat.sweep.store import open_store
from turncoat.sweep.unit import train_stack

NET = """
from torch import nn
from my_widths import WIDTH


def make(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, WIDTH), nn.{act}(), nn.Linear(WIDTH, classes))
"""
KEYS = {"model": "my_net:make", "epochs": 2, "learning_rate": 0.2, "seeds": 1, "write_access": 0.5}
CELLS = 3


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    edit()
    yield
    forget()


def forget() -> None:
    """As in a process of its own."""
    sys.modules.pop("my_net", None)
    sys.modules.pop("my_widths", None)
    importlib.invalidate_caches()


def edit(width: int = 5, act: str = "ReLU") -> None:
    Path("my_net.py").write_text(NET.format(act=act))
    Path("my_widths.py").write_text(f"WIDTH = {width}\n")
    forget()


def asked(**more: object) -> experiment.Experiment:
    return experiment.experiment(KEYS | more)


def test_edited_code_is_other_cells() -> None:
    assert sweep(asked(), "s.db").trained == CELLS
    assert sweep(asked(), "s.db").trained == 0
    edit(act="Tanh")
    assert sweep(asked(), "s.db").trained == CELLS, "another function of the same shape"
    edit(width=7)
    assert sweep(asked(), "s.db").trained == CELLS, "another shape, by a module that it imports"
    edit()
    assert sweep(asked(), "s.db").trained == 0, "as it was"
    with open_store("s.db") as store:
        table = store.summary()
    names = table["model"].unique()
    assert len(names) == 3 and all(name.startswith("my_net:make@") for name in names)
    assert table[table["write_access"] > 0]["harm.mean"].notna().all()
    clean = table[table["write_access"] == 0]["accuracy.mean"]
    assert clean.nunique() == 3


def test_shapes_that_come_from_elsewhere_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("my_widths.py").write_text("import os\nWIDTH = int(os.environ['WIDTH'])\n")
    found = set()
    for width in ("4", "6"):
        monkeypatch.setenv("WIDTH", width)
        forget()
        found.add(models.coded("my_net:make", load("digits")))
    assert len(found) == 2


def test_a_checkpoint_of_another_shape_is_not_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INTERVAL, "0")

    class Cut(Exception):
        pass

    def cut(done: int, total: int) -> None:
        if done > 20:
            raise Cut

    with contextlib.suppress(Cut):
        sweep(asked(), "s.db", cut)
    with sqlite3.connect("s.db") as connection:
        assert connection.execute("SELECT count(*) FROM checkpoints").fetchone() == (1,)
    connection.close()
    edit(width=7)
    told: list[int] = []
    assert sweep(asked(), "s.db", lambda done, _: told.append(done)).trained == CELLS
    assert told[0] <= CELLS, "from the start"
    edit()
    told.clear()
    assert sweep(asked(), "s.db", lambda done, _: told.append(done)).trained == CELLS
    assert told[0] > CELLS, "the other's is there still"


def test_a_stack_is_named_for_its_shapes() -> None:
    plan = list(runner.planned(experiment.cells(asked()), set(), "cpu"))
    (stack,) = [item.stack for item in plan]
    assert "[1, 5, 64]" in stack.shapes
    other = type(stack)(stack.cells, stack.shapes.replace("[1, 5, 64]", "[1, 7, 64]"))
    assert other.key != stack.key


def test_code_with_a_digest_is_that_code_or_none() -> None:
    data = load("digits")
    name = models.coded("my_net:make", data)
    assert models.coded(name, data) == name
    assert models.build(name, data).init(torch.Generator(), 1)["1.weight"].shape == (1, 5, 64)
    edit(act="Tanh")
    with pytest.raises(TurncoatError, match=rf"'my_net:make' is no longer that of {name[-10:]}.*was edited"):
        models.build(name, data)
    assert models.coded("logistic", data) == "logistic" and models.coded("mlp:5", data) == "mlp:5"


def test_stacks_of_edited_code_do_not_meet() -> None:
    (first,) = runner.planned(experiment.cells(asked()), set(), "cpu")
    edit(act="Tanh")
    (second,) = runner.planned(experiment.cells(asked()), set(), "cpu")
    assert first.stack.shapes == second.stack.shapes and first.stack.key != second.stack.key


def test_a_process_that_finds_edited_code_refuses_it() -> None:
    """What it trained would stand under the digest of the code that the sweep began with."""
    (planned,) = runner.planned(experiment.cells(asked()), set(), "cpu")
    edit(act="Tanh")
    prepared.cache_clear()
    with pytest.raises(TurncoatError, match="my_net:make' is no longer that of"):
        next(train_stack(planned.stack))
