"""The strongest of the attacks that a threat admits: the one that leaves the least accuracy on training data."""

import dataclasses
import math
from collections.abc import Iterable, Sequence

import pandas as pd

from turncoat.analysis.estimate import Estimate, estimate
from turncoat.analysis.reached import reached
from turncoat.analysis.results import Results
from turncoat.attack.names import PLANNED
from turncoat.defence import guards
from turncoat.errors import TurncoatError, shown
from turncoat.federation.federation import POOLED, Federation
from turncoat.federation.threats import placed_in, why_unplanned
from turncoat.recipe import Recipe
from turncoat.threat import GOALS, Threat
from turncoat.training.idle import idle_fields
from turncoat.training.task import CURVES

OPTIMAL = "optimal"
RULES = (PLANNED, OPTIMAL, "as_printed", "class_by_class", "cyclic", "random")
LEARNED = "train_accuracy"
TOLD = ("write_access", "local_budget", "goal", "selection")
FURTHER = ("mirror", "least_likely")  # in a federation: robust rules let other labels pass than the mean


def candidates(
    threat: Threat, recipe: Recipe, federation: Federation = POOLED, goals: Sequence[str] = GOALS
) -> tuple[Threat, ...]:
    """Every rule with every goal that a threat of this access, budget, schedule and knowledge admits.

    Rules that look at nothing have no goal; no plan is made for schedule "step" or for other optimizers than SGD. Where
    a defence looks at labels, the optimal flips stand both with and without knowledge of it; where a server has another
    rule than the mean, the planned ones do.
    """
    threat = placed_in(federation, dataclasses.replace(threat, selection=RULES[-1]), recipe)
    rules = [rule for rule in RULES if rule != PLANNED or not why_unplanned(threat, recipe)]
    rules += FURTHER if federation.workers else ()
    found: list[Threat] = []
    for rule in rules:
        own = dataclasses.replace(threat, selection=rule, goal=GOALS[0])
        aimless = "goal" in idle_fields(own, recipe, federation)
        found += [own] if aimless else [dataclasses.replace(own, goal=goal) for goal in goals]
    seeing = {PLANNED, OPTIMAL} if guards(recipe.defence) else {PLANNED}
    knowing = [dataclasses.replace(own, aware=True) for own in found if own.selection in seeing]
    found += [
        own for own in knowing if own not in found and "aware" not in idle_fields(own, recipe, federation)
    ]
    return tuple(found)


def learned(results: Results, threat: Threat) -> Estimate:
    """Accuracy on training data with clean labels: mean over seeds and the last 10 % of the epochs."""
    runs = dict(results.by_threat()).get(threat, [])
    return estimate(reached(run.curve(LEARNED)) for run in runs)


def by_strength(results: Results, threats: Iterable[Threat]) -> list[Threat]:
    """The threats, the strongest first; the test set has no say, so that it still measures what was chosen.

    Raises:
        TurncoatError: for a threat that was not trained, or of which accuracy on training data is not known.
    """
    reached_by = {threat: learned(results, threat).mean for threat in threats}
    for threat, accuracy in reached_by.items():
        if math.isnan(accuracy):
            raise TurncoatError(
                f"{shown(threat)} has no accuracy on training data, by which the strongest is chosen: train it"
            )
    return sorted(reached_by, key=lambda threat: reached_by[threat])


def strongest_rows(curves: pd.DataFrame) -> pd.DataFrame:
    """Of a frame of attacked runs the rows of each budget's and goal's strongest rule, chosen as above.

    Raises:
        TurncoatError: if accuracy on training data is not known of some rule.
    """
    if LEARNED not in curves or curves.groupby([*TOLD, "seed"], dropna=False)[LEARNED].count().eq(0).any():
        raise TurncoatError(
            "some of these results have no accuracy on training data, by which the strongest is chosen: they were"
            " written before it was measured; sweep them into a new store"
        )
    apart = [
        name
        for name in curves
        if name not in (*CURVES, "epoch", "chance", "step_stability", "selection", "seed")
    ]
    ordered = curves.sort_values("epoch", kind="stable", ignore_index=True)
    # numbers in place of values, among which some may be absent
    contest, rule = (
        ordered.groupby(names, dropna=False, sort=False).ngroup() for names in (apart, [*apart, "selection"])
    )
    by_seed = ordered[LEARNED].groupby([contest, rule, ordered["seed"]])
    means = by_seed.agg(lambda curve: reached(curve.to_numpy(dtype=float))).groupby(level=(0, 1)).mean()
    best = {number for _, number in means.groupby(level=0).idxmin()}
    return ordered[rule.isin(best)]
