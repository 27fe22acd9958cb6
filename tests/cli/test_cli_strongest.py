"""``turncoat attack --strongest``, and what stands beside an attack that was asked for."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_said import Turncoat

from turncoat.cli import beside
from turncoat.planning.price import times_the_training
from turncoat.recipe import Recipe

WORDS = (
    "attack",
    "--dataset",
    "few.csv",
    "--label",
    "y",
    "--epochs",
    3,
    "--seeds",
    1,
    "--batch-size",
    8,
    "--learning-rate",
    0.3,
)


@pytest.fixture(autouse=True)
def few(turncoat: Turncoat) -> None:
    """Forty rows of three overlapping classes: a plan of them takes a moment."""
    draw = np.random.default_rng(0)
    rows = [f"{x + y:.3f},{z - y:.3f},{'abc'[y]}" for y in range(3) for x, z in draw.normal(size=(14, 2))]
    Path("few.csv").write_text("u,v,y\n" + "\n".join(rows) + "\n")


def test_the_strongest_is_named_among_all(turncoat: Turncoat) -> None:
    said = turncoat(*WORDS, "--write-access", 1, "--budget", 0.4, "--strongest", "--json")
    assert said.status == 0, said.err
    found = json.loads(said.out)
    rows = found["strongest"]["rows"]
    asked = {(row["selection"], row["goal"]) for row in rows}
    assert asked == {(rule, goal) for rule in ("planned", "optimal", "as_printed") for goal in GOALS} | {
        (rule, "untargeted") for rule in ("class_by_class", "cyclic", "random")
    }
    on_training = [row["train_accuracy"]["mean"] for row in rows]
    assert on_training == sorted(on_training) and len(set(on_training)) > 1
    assert (found["strongest"]["selection"], found["strongest"]["goal"]) == (
        found["threat"]["selection"],
        found["threat"]["goal"],
    )
    assert found["attacked"]["accuracy"] == rows[0]["accuracy"]
    assert found["random"]["accuracy"] in [row["accuracy"] for row in rows]
    assert found["harm"] == rows[0]["harm"] and found["strongest"]["found_by"].startswith(
        rows[0]["selection"]
    )


GOALS = ("untargeted", "targeted")


def test_the_table_shows_all_and_says_who_found_it(turncoat: Turncoat) -> None:
    said = turncoat(*WORDS, "--goal", "untargeted", "--optimizer", "adam", "--strongest")
    assert said.status == 0, said.err
    assert "k = 0.25, b = 1" in said.out
    for name in (
        "clean",
        "optimal, untargeted",
        "as_printed, untargeted",
        "class_by_class",
        "cyclic",
        "random",
    ):
        assert said.out.count(f"│ {name} ") == 1
    assert "accuracy on training data" in said.out and "planned" not in said.out
    assert (
        "found by " in said.out and "of 5 attacks it leaves the least accuracy on training data" in said.out
    )


def test_optimal_stands_beside_another_selection(turncoat: Turncoat) -> None:
    words = (*WORDS, "--write-access", 0.5, "--selection", "cyclic")
    said, found = turncoat(*words), json.loads(turncoat(*words, "--json").out)
    assert all(f"│ {name} " in said.out for name in ("clean", "cyclic", "optimal, untargeted", "random"))
    assert found["threat"]["selection"] == "cyclic" and "optimal" in found and "strongest" not in found
    assert "--selection planned or --strongest plans them, in about" in said.out


def test_planned_stands_beside_where_it_is_cheap(turncoat: Turncoat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "MOST", 1e9)
    said = turncoat(*WORDS, "--write-access", 0.5)
    assert "│ planned, untargeted " in said.out and "--strongest plans them" not in said.out


def test_nothing_is_said_of_plans_that_cannot_be(turncoat: Turncoat) -> None:
    said = turncoat(*WORDS, "--write-access", 0.5, "--schedule", "step")
    assert said.status == 0 and "planned" not in said.out


def test_a_longer_training_makes_a_plan_cheaper() -> None:
    short, long = (times_the_training(1000, 16, Recipe(epochs=epochs), 3) for epochs in (100, 10_000))
    assert short == pytest.approx(100 * long) and short > 1 > long
    assert times_the_training(1000, 16, Recipe(), 3, "targeted") < times_the_training(1000, 16, Recipe(), 3)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "--write-access 0.5 --strongest --selection cyclic",
            "--strongest tries every rule, but --selection cyclic",
        ),
        ("--workers 4 --strongest", "no worker is hostile"),
        ("--strongest --write-access 0", "--write-access is 0"),
        ("--strongest --write-access 0.001", "this threat can never flip a label"),
    ],
)
def test_mistakes_are_one_line(turncoat: Turncoat, words: str, told: str) -> None:
    said = turncoat(*WORDS, *words.split())
    assert said.status == 2 and said.out == ""
    assert said.err.startswith(f"turncoat: {told}") and said.err.count("\n") == 1


def test_a_store_tells_the_strongest(turncoat: Turncoat) -> None:
    keys = (
        'dataset = "few.csv"',
        'label = "y"',
        "epochs = 3",
        "batch_size = 8",
        "learning_rate = 0.3",
        "seeds = 2",
    )
    how = (
        "write_access = [0.4, 0.8]",
        'selection = "strongest"',
        'goal = "untargeted"',
        'optimizer = "adam"',
    )
    Path("all.toml").write_text("\n".join((*keys, *how)))
    swept = turncoat("sweep", "all.toml", "--store", "s.db")
    assert swept.status == 0, swept.err
    assert "the strongest rule of each budget: turncoat results --store s.db --strongest" in swept.out
    assert turncoat("results", "--store", "s.db", "--strongest", "--csv", "worst.csv").status == 0
    assert turncoat("results", "--store", "s.db", "--curves", "--csv", "all.csv").status == 0
    worst, long = pd.read_csv("worst.csv"), pd.read_csv("all.csv")
    last = long[(long["write_access"] > 0) & (long["epoch"] == 3)]
    by_rule = last.groupby(["write_access", "selection"])["train_accuracy"].mean()
    attacked = worst[worst["write_access"] > 0]
    assert len(worst) == 3 and attacked["write_access"].tolist() == [0.4, 0.8]
    for _, row in attacked.iterrows():
        reached = by_rule[row["write_access"]]
        assert len(reached) == 5 and reached[row["selection"]] == reached.min() < reached.max()
    assert "clean" in turncoat("results", "--store", "s.db", "--strongest").out
    drawn = turncoat("figure", "budget", "--store", "s.db", "--where", "selection=strongest", "-o", "b.png")
    assert drawn.status == 0, drawn.err
