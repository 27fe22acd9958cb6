"""The rules of our own claims on made-up runs that show the claim, and on runs that show the opposite."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from turncoat.reproduce import plan, rules_harm, rules_ours, rules_shape
from turncoat.reproduce.artefacts import ARTEFACTS
from turncoat.reproduce.claims import CLAIMS
from turncoat.reproduce.judging import Verdict
from turncoat.reproduce.plan import Wanted, planned

CLEAN = 0.9
CELLS = [(1.0, 0.25), (0.25, 1.0)]


def runs(
    cost: float, spread: float = 0.001, cells: list[tuple[float, float]] = CELLS, **columns: Any
) -> list[dict[str, Any]]:
    draw = np.random.default_rng([len(str(columns)), int(1000 * cost)])
    usual = {
        "dataset": "mnist", "model": "logistic", "workers": 0, "optimizer": "sgd", "patience": 0, "epochs": 60,
        "goal": "untargeted", "schedule": "epoch", "last_rounds": 0, "chance": 0.1, "clean.tail": CLEAN,
    }  # fmt: skip
    return [
        usual | {"write_access": k, "local_budget": b, "seed": seed,
                 "accuracy.tail": CLEAN - cost + spread * draw.normal()} | columns
        for k, b in cells for seed in range(4)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("planned", "optimal", "spread", "verdict"),
    [
        (0.3, 0.2, 0.001, Verdict.HOLDS),
        (0.2, 0.3, 0.001, Verdict.FAILS),
        (0.2, 0.2, 0.0001, Verdict.FAILS),
        (0.22, 0.2, 0.05, Verdict.UNDECIDED),
    ],
)
def test_whether_the_optimum_of_each_round_understates(planned, optimal, spread, verdict):
    rows = runs(planned, spread, selection="planned") + runs(optimal, spread, selection="optimal")
    rows += runs(0.01, selection="random") + runs(0.25, selection="class_by_class")
    found = rules_ours.understates(pd.DataFrame(rows), "tail")
    assert found is not None and found.verdict == verdict
    (part,) = found.parts
    assert part.seeds == 4 and "class by class" in part.note
    assert part.figure is not None and part.figure.mean == pytest.approx(planned - optimal, abs=2 * spread)


def test_strikes_and_other_schedules_are_no_part_of_it():
    rows = runs(0.3, selection="planned") + runs(0.2, selection="optimal")
    more = runs(0.8, selection="optimal", schedule="step") + runs(0.8, selection="planned", last_rounds=6)
    one, other = (rules_ours.understates(pd.DataFrame(part), "tail") for part in (rows, rows + more))
    assert one == other
    assert rules_ours.understates(pd.DataFrame(runs(0.3, selection="planned")), "tail") is None


@pytest.mark.parametrize(
    ("costs", "verdict"),
    [
        ((0.3, 0.2, 0.1, 0.05), Verdict.HOLDS),
        ((0.05, 0.1, 0.2, 0.3), Verdict.FAILS),
        ((0.3, 0.1, 0.2, 0.05), Verdict.UNDECIDED),  # it rises in between
    ],
)
def test_whether_deciding_oftener_harms_less(costs, verdict):
    rows = [
        run
        for schedule, cost in zip(rules_ours.OFTEN, costs, strict=True)
        for run in runs(cost, selection="optimal", schedule=schedule)
    ]
    found = rules_ours.oftener(pd.DataFrame(rows), "tail")
    assert found is not None and {part.verdict for part in found.parts} == {verdict}
    assert len(found.parts) == 2 and f"{100 * costs[0]:.1f}"[:2] in found.parts[0].note
    assert rules_ours.oftener(pd.DataFrame(runs(0.1, selection="optimal")), "tail") is None


@pytest.mark.parametrize(
    ("late", "verdict"), [(0.3, Verdict.HOLDS), (0.195, Verdict.HOLDS), (0.1, Verdict.FAILS)]
)
def test_whether_a_strike_is_worth_an_attack_all_along(late, verdict):
    rows = runs(0.2, selection="optimal") + runs(late, selection="planned:last", last_rounds=6)
    rows += runs(0.5, selection="planned:last") + runs(0.05, selection="planned:last", last_rounds=1)
    found = rules_ours.strike(pd.DataFrame(rows), "tail")
    assert found is not None and {part.verdict for part in found.parts} == {verdict}
    assert "1: " in found.parts[0].note and "all: " in found.parts[0].note


def test_a_claim_is_read_again_under_planned_flips():
    rows = pd.DataFrame(
        runs(0.15, cells=[(1.0, 0.05)], selection="planned")
        + runs(0.01, cells=[(1.0, 0.05)], selection="as_printed")
    )
    assert rules_harm.five_percent(rows, "tail").verdict == Verdict.FAILS
    assert rules_ours.under_plans(rules_harm.five_percent)(rows, "tail").verdict == Verdict.HOLDS


def goal_rows(untargeted, printed, **where):
    """Plans of both goals, the targeted costing .2, and printed flips beside them, in two parts of the rule."""
    wide = {"cells": [(0.25, 1.0), (1.0, 0.5)]} | where
    rows = runs(0.2, selection="planned", goal="targeted", **wide) + runs(
        untargeted, selection="planned", **wide
    )
    rows += runs(0.2, selection="as_printed", goal="targeted", **wide)
    return rows + runs(printed, selection="as_printed", **wide)


@pytest.mark.parametrize(
    ("untargeted", "printed", "verdict"), [(0.3, 0.1, Verdict.HOLDS), (0.1, 0.3, Verdict.FAILS)]
)
def test_goals_are_compared_by_plans_and_not_by_the_printed_flips_beside_them(untargeted, printed, verdict):
    rows = goal_rows(untargeted, printed, dataset="mnist-01")
    rule = next(claim.judge for claim in CLAIMS if claim.number == 21)
    found = rule(pd.DataFrame(rows), "tail")
    assert found is not None and {part.verdict for part in found.parts} == {verdict} and len(found.parts) == 2
    assert rule(pd.DataFrame([run for run in rows if run["goal"] == "untargeted"]), "tail") is None


def test_digits_are_judged_apart_and_by_claim_21_alone():
    rows = goal_rows(0.3, 0.3, dataset="mnist-01") + goal_rows(0.1, 0.1, dataset="digits")
    found = rules_ours.under_plans(rules_ours.planned_goals)(pd.DataFrame(rows), "tail")
    assert found is not None
    assert {part.name for part in found.parts if part.holds is False} == {
        part.name for part in found.parts if part.name.endswith(" on digits")
    }
    assert len(found.parts) == 4
    first = rules_shape.goals(pd.DataFrame(rows), "tail")
    assert first is not None and len(first.parts) == 2 and first.verdict == Verdict.HOLDS


GOAL_PARTS = {"k from 0.2, k·b below half": 6, "k·b from half on": 3, "k below 0.2": 3}


@pytest.mark.parametrize(("name", "ending"), [("C:goals", ""), ("C:goals_digits", " on digits")])
def test_every_budget_of_both_goals_decides_a_part(name, ending):
    cells = plan.cells(planned(ARTEFACTS[name], Wanted(seeds=1)))
    threats = [(cell.threat, cell.problem.dataset) for cell in cells if cell.threat.selection == "planned"]
    rows = [
        run
        for threat, dataset in threats
        for run in runs(
            0.1,
            cells=[(threat.write_access, threat.local_budget)],
            dataset=dataset,
            selection="planned",
            goal=threat.goal,
        )
    ]
    found = rules_ours.under_plans(rules_ours.planned_goals)(pd.DataFrame(rows), "tail")
    assert found is not None
    named = {part.name: int(part.note.split()[-2]) for part in found.parts}
    assert named == {part + ending: count for part, count in GOAL_PARTS.items()}
