"""Selections and aggregators of one's own: by name wherever others are, and told apart by their code."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from turncoat import Federation, Recipe, Threat, TurncoatError, load, train
from turncoat.federation.aggregators.chain import coded
from turncoat.own_code import imported
from turncoat.sweep import experiment
from turncoat.sweep.runner import sweep
from turncoat.sweep.store import open_store

RULES = """
def first_ones(scores, labels, flips, generator):
    new = labels.clone()
    new[:flips] = (labels[:flips] + {shift}) % scores.shape[1]
    return new


def middle(messages):
    return (messages.amin(0) + messages.amax(0)) / 2


def trimmed(messages, f):
    return messages.sort(0).values[f : len(messages) - f].mean(0)


def failing(messages, f):
    raise KeyError(f)


def too_long(messages):
    return messages


number = 3
"""
KEYS = {"epochs": 1, "learning_rate": 0.2, "seeds": 1}
CROWD = {"workers": 6, "hostile": 2}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    edit()
    yield
    forget()


def forget() -> None:
    """As in a process of its own."""
    sys.modules.pop("my_rules", None)
    importlib.invalidate_caches()


def edit(shift: int = 1) -> None:
    Path("my_rules.py").write_text(RULES.format(shift=shift))
    forget()


def asked(**more: object) -> experiment.Experiment:
    return experiment.experiment(KEYS | more)


def test_an_edited_selection_is_other_cells() -> None:
    keys = {"selection": "my_rules:first_ones", "write_access": 0.5, "local_budget": 0.5}
    assert sweep(asked(**keys), "s.db").trained == 2
    assert sweep(asked(**keys), "s.db").trained == 0
    edit(shift=2)
    assert sweep(asked(**keys), "s.db").trained == 1, "the clean run has no selection"
    edit()
    assert sweep(asked(**keys), "s.db").trained == 0, "as it was"
    with open_store("s.db") as store:
        names = store.summary()["selection"]
    assert sum(name.startswith("my_rules:first_ones@") for name in names) == 2


def test_an_edited_aggregator_is_other_cells_and_shown_without_its_code() -> None:
    keys = {"aggregator": ["mean", "nnm+my_rules:trimmed"], "selection": "random", **CROWD}
    assert sweep(asked(**keys), "s.db").trained == 4
    edit(shift=2)
    assert sweep(asked(**keys), "s.db").trained == 2
    Path("my_rules.py").unlink()
    forget()
    with open_store("s.db") as store:
        table = store.summary()
    assert len(table) == 6 and table["aggregator"].str.match(r"nnm\+my_rules:trimmed@\w{10}$").sum() == 4
    assert table[table["write_access"] > 0]["harm.mean"].notna().all()


def test_a_name_is_the_callable() -> None:
    """From Python and by name the same bits come out, and those of a rule that the package has."""
    rules = {
        name: imported(f"my_rules:{name}", "rule", "", "") for name in ("first_ones", "middle", "trimmed")
    }

    def curves(federation: Federation, selection: object) -> torch.Tensor:
        threats = [Threat(local_budget=0.5, selection=selection)]
        recipe = Recipe(epochs=1, learning_rate=0.2)
        runs = train(load("digits"), threats=threats, seeds=[0], recipe=recipe, federation=federation).runs
        return torch.stack([torch.from_numpy(run.curves) for run in runs])

    by_name = curves(Federation(**CROWD, aggregator="nnm+my_rules:trimmed"), "my_rules:first_ones")
    same = curves(Federation(**CROWD, aggregator="nnm+trimmed_mean"), rules["first_ones"])
    torch.testing.assert_close(by_name, same, rtol=1e-4, atol=1e-4, equal_nan=True)
    for name in ("middle", "trimmed"):
        by_name = curves(Federation(**CROWD, aggregator=f"my_rules:{name}"), rules["first_ones"])
        called = curves(Federation(**CROWD, aggregator=rules[name]), "my_rules:first_ones")
        torch.testing.assert_close(by_name, called, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    ("aggregator", "told"),
    [
        ("my_rules:failing", "aggregator failing failed .*KeyError: 2.*rule\\(messages, f\\)"),
        ("my_rules:too_long", "aggregator too_long returned torch.float32 of shape"),
        ("my_rules:number", "is int, but must be a callable"),
        ("my_rules:nothing", "has no attribute 'nothing'"),
        ("no_rules:mine", "cannot import 'no_rules'"),
        ("my_rules:middle+krum", "unknown aggregator 'my_rules:middle'"),
        ("my_rules:", "must be MODULE:CALLABLE"),
        (len, "aggregator len failed|returned"),
        ([], "must be a name"),
    ],
)
def test_each_mistake_is_one_line(aggregator: object, told: str, as_users_run: None) -> None:
    with pytest.raises(TurncoatError, match=told) as error:
        crowd = Federation(**CROWD, aggregator=aggregator)
        train(load("digits"), threats=[Threat()], seeds=[0], recipe=Recipe(epochs=1), federation=crowd)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["my_rules:nothing", "no_rules:mine", "all_to_on:1", "my_rules:number"])
def test_selections_are_refused_before_anything_is_trained(name: str) -> None:
    with pytest.raises(TurncoatError, match="selection"):
        sweep(asked(selection=name, write_access=0.5), "s.db")
    assert not Path("s.db").exists()


def test_a_rule_with_a_digest_is_that_code_or_none() -> None:
    name = coded("nnm+my_rules:middle")
    assert coded(name) == name and coded("nnm+krum") == "nnm+krum"
    edit(shift=2)
    with pytest.raises(TurncoatError, match="'my_rules:middle' is no longer that of"):
        sweep(asked(aggregator=name, selection="random", **CROWD), "s.db")
