"""Data files of one's own: those of one name stay apart, each with its own clean runs, and rows say which is whose."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from turncoat import TurncoatError
from turncoat.sweep import experiment, runner
from turncoat.sweep.frames import say_which_file
from turncoat.sweep.store import open_store

KEYS = {"label": "kind", "epochs": 4, "learning_rate": 0.5, "seeds": 2, "write_access": [0.5, 1.0]}


def trees(path: Path, seed: int) -> Path:
    """A table of two kinds of tree."""
    path.parent.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    kind = np.arange(60) % 2
    table = pd.DataFrame({"height": kind + rng.normal(size=60), "girth": rng.normal(size=60) - kind})
    table.assign(kind=np.array(["ash", "elm"])[kind]).to_csv(path, index=False)
    return path


def summary(store: Path, *files: Path, **more: Any) -> pd.DataFrame:
    for file in files:
        runner.sweep(experiment.experiment(KEYS | more | {"dataset": str(file)}), store)
    with open_store(store) as opened:
        return opened.summary()


def harms(table: pd.DataFrame) -> list[float]:
    attacked = table[table["write_access"] > 0]
    found: list[float] = attacked["harm.mean"].tolist()
    return found


def test_two_folders_and_an_edit_keep_their_own_clean_twins(tmp_path: Path) -> None:
    one, two = trees(tmp_path / "one" / "trees.csv", 1), trees(tmp_path / "two" / "trees.csv", 2)
    alone = summary(tmp_path / "one.db", one), summary(tmp_path / "two.db", two)
    trees(two, 3)
    alone = (*alone, summary(tmp_path / "three.db", two))
    trees(two, 2)
    summary(tmp_path / "all.db", one, two)
    together = summary(tmp_path / "all.db", trees(two, 3))
    assert len(together) == 3 * 5 and together["fingerprint"].nunique() == 3
    assert not np.isnan(harms(together)).any()
    for own in alone:
        rows = together[together["fingerprint"] == own["fingerprint"].iloc[0]]
        pd.testing.assert_frame_equal(rows.reset_index(drop=True), own)
    assert say_which_file(together) and not say_which_file(alone[0])


def test_one_file_on_two_scales_is_one_file(tmp_path: Path) -> None:
    file = trees(tmp_path / "trees.csv", 1)
    table = summary(tmp_path / "s.db", file, scale=["unit", "standard"])
    assert table["fingerprint"].nunique() == 2 and not say_which_file(table)


def test_the_same_file_in_two_folders_is_trained_once(tmp_path: Path) -> None:
    one, two = trees(tmp_path / "one" / "trees.csv", 1), trees(tmp_path / "two" / "trees.csv", 1)
    summary(tmp_path / "s.db", one)
    assert runner.sweep(experiment.experiment(KEYS | {"dataset": str(two)}), tmp_path / "s.db").trained == 0


def test_a_file_that_changes_after_it_was_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows would stand under the fingerprint of what it was."""
    file = trees(tmp_path / "trees.csv", 1)
    cells = experiment.cells(experiment.experiment(KEYS | {"dataset": str(file)}))
    trees(file, 2)
    with pytest.raises(TurncoatError, match=r"trees\.csv was changed while it was read: type the same"):
        list(runner.planned(cells, set(), "cpu"))
