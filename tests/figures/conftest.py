import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import near_cells
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import turncoat
from turncoat import Recipe, Threat
from turncoat.certificates.certify import hold
from turncoat.certificates.seen_from_above import undefended, voters_attacked
from turncoat.federation.federation import POOLED
from turncoat.figures import FIGURES
from turncoat.figures.certificate import Reached
from turncoat.figures.plan import Drawn
from turncoat.figures.reach import Near, near_anew
from turncoat.sweep.cells import Cell, config
from turncoat.sweep.problem import Problem

ACCESSES, BUDGETS = (0.2, 0.4, 0.8), (0.25, 0.5, 1.0)
RULES = (("untargeted", "optimal"), ("targeted", "optimal"), ("untargeted", "random"))


@pytest.fixture(scope="session")
def curves() -> pd.DataFrame:
    """A real run on digits: 3 x 3 cells, both goals and random flips, 3 seeds."""
    recipe = Recipe(epochs=12, learning_rate=0.2)
    threats = [Threat(k, b, goal, rule) for k in ACCESSES for b in BUDGETS for goal, rule in RULES]
    data = turncoat.load("digits", scale="unit")
    results = turncoat.train(data, threats=threats, seeds=range(3), recipe=recipe)
    settings = dataclasses.asdict(recipe) | {
        "dataset": "digits",
        "scale": "unit",
        "model": "logistic",
        "chance": results.setting.chance,
        "step_stability": results.setting.step_stability,
    }
    return results.to_pandas().assign(**settings)


@pytest.fixture(scope="session")
def matrix_curves(curves: pd.DataFrame) -> pd.DataFrame:
    """Every aggregator stands for another local budget of the real run, so that numbers differ."""
    parts = []
    for aggregator, b in (("mean", 1.0), ("median", 0.5), ("krum", 0.25)):
        cell = (curves["write_access"] == 0.8) & (curves["local_budget"] == b)
        rows = curves[(curves["write_access"] == 0) | cell]
        parts.append(rows.assign(aggregator=aggregator, local_budget=1.0))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="session")
def defended_curves(curves: pd.DataFrame) -> pd.DataFrame:
    """Every defence stands for another local budget of the real run, so that numbers differ."""
    parts = []
    for defence, b in (("none", 1.0), ("knn:5", 0.5), ("gce:0.3", 0.25)):
        cell = (curves["write_access"] == 0.8) & (curves["local_budget"] == b)
        rows = curves[(curves["write_access"] == 0) | cell]
        parts.append(rows.assign(defence=defence, local_budget=1.0))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="session")
def reached() -> Reached:
    """A certificate for digits, and what attacks reach there with a few flips."""
    data, flips = turncoat.load("digits"), (0, 12, 120)
    found = turncoat.certify(data, partitions=24)
    of = hold(data, found.model, found.method, 24, found.features, None, None, 0)
    plain = undefended(data, "logistic", flips, ["class_by_class"])
    return Reached(found, voters_attacked(of, data, flips), plain)


@pytest.fixture(scope="session")
def messages() -> pd.DataFrame:
    """200 rounds of 10 workers; the first two, hostile, have larger norms and smaller cosines."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"round": np.repeat(np.arange(200), 10), "worker": np.tile(np.arange(10), 200)})
    hostile = frame["worker"] < 2
    return frame.assign(
        is_hostile=hostile,
        norm=random.gamma(20, 0.05, 2000) * np.where(hostile, 1.2, 1.0),
        cosine=np.clip(random.normal(0.8, 0.08, 2000) - 0.1 * hostile, -1, 1),
    )


@pytest.fixture(scope="session")
def drawn_plan() -> Drawn:
    """A short plan for digits, and the cell that would follow it."""
    data, recipe = turncoat.load("digits"), Recipe(epochs=3, learning_rate=0.2)
    made = turncoat.plan(data, threat=Threat(1.0, 0.3), recipe=recipe, rounds=11)
    return Drawn(made, data, Cell(Problem("digits"), recipe, POOLED, made.made.threat, 0))


@pytest.fixture(scope="session")
def near_rows() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    found = [
        config(near_cells.cell(rule, seed)) | {"accuracy": (0.9 if rule is None else 0.7) + 0.01 * draw.normal()}
        for rule in (None, *near_cells.RULES) for seed in (0, 1)
    ]  # fmt: skip
    frame = pd.DataFrame(found).assign(epoch=1)
    clean = frame["selection"].where(frame["write_access"] > 0, "optimal")
    return frame.assign(selection=clean)


@pytest.fixture(scope="session")
def near(near_rows) -> Near:
    return near_anew(near_rows, None, near_cells.quiet, budgets=(0.2, 1.0))


@pytest.fixture(scope="session")
def frames(curves, matrix_curves, defended_curves, reached, messages, drawn_plan, near) -> dict[str, Any]:
    """What each figure is drawn from."""
    return dict.fromkeys(FIGURES, curves) | {
        "matrix": matrix_curves,
        "defences": defended_curves,
        "certificate": reached,
        "visibility": messages,
        "plan": drawn_plan,
        "reach": near,
    }


@pytest.fixture(scope="session")
def plainly(frames) -> Callable[[str], Figure]:
    """Each figure without choices, drawn once; nobody changes it."""
    return functools.cache(lambda name: FIGURES[name].draw(frames[name]))
