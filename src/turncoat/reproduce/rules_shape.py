"""Rules of claims on how harm depends on access, budget and goal: 4, 5 and 6.

Each takes the runs of one scale and the name of a statistic, and gives None where the runs it needs are absent.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import pandas as pd

from turncoat.analysis.estimate import Estimate, estimate
from turncoat.analysis.pairs import difference, minus
from turncoat.reproduce.judging import POINTS, Finding, Part
from turncoat.reproduce.measures import (
    A_POINT,
    CELL,
    CHANCE,
    DEEP,
    FEW_CELLS,
    HALF,
    POINT,
    RANDOM,
    attacked,
    complete,
    harmed,
    mean_of,
    pairs_of_equal_budget,
    percent_words,
    points_words,
    stays_within,
    usual,
    wide_of,
)

Cell = tuple[float, float]

WON = 0.8  # of the decided pairs
SETTINGS = (("mnist-01", "logistic"), ("mnist", "logistic"), *DEEP)
SMALL_ACCESS = 0.2
LITTLE = 0.05  # that b may matter at small k
ACCESS_RULE = (
    f"Untargeted, per data set and model: of the pairs of equal k·b that surely differ, by {A_POINT} or"
    f" more, wider access wins {percent_words(WON)} or more, and these are more than {FEW_CELLS} of all pairs"
    f" (it fails if it surely loses more than {FEW_CELLS} of all, and is undecided otherwise); and up to"
    f" k = {SMALL_ACCESS:g} no b changes mean harm by {points_words(LITTLE)} or more against b = 1 (it fails if more"
    f" than {FEW_CELLS} of the cells surely do)"
)


def access_over_budget(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 4."""
    parts = []
    for dataset, model in SETTINGS:
        setting = harmed(usual(points, dataset, model), statistic)
        rows = attacked(setting, goal="untargeted")
        if pairs := pairs_of_equal_budget(rows):
            wide: Any = wide_of(rows["harm"], rows, CELL)
            random: Any = attacked(setting, RANDOM)
            parts += _access_parts(f"{dataset} {model}", wide, wide_of(random["harm"], random, CELL), pairs)
    return Finding(tuple(parts)) if parts else None


def _access_parts(
    name: str, wide: pd.DataFrame, random: pd.DataFrame, pairs: Sequence[tuple[Cell, Cell]]
) -> list[Part]:
    """Whether wider access costs more, and whether b matters at small k; one seed a row, one cell a column."""
    found = [difference(wide[wider], wide[narrower]) for narrower, wider in pairs]
    won = sum(one.above and one.mean >= POINT for one in found)
    lost = sum(one.below and one.mean <= -POINT for one in found)
    wins = won >= WON * (won + lost) and won > CHANCE * len(pairs)
    holds = True if wins else False if lost > CHANCE * len(pairs) else None
    note = f"more, mean over {len(pairs)} pairs; surely more in {won}, less in {lost}"
    there = [pair for pair in pairs if set(pair) <= set(random.columns)]
    beside = _mean_gap(random, there) if there else None
    fewest = min(one.n for one in found)
    parts = [Part(f"wider access on {name}", holds, _mean_gap(wide, pairs), beside, POINTS, fewest, note)]
    cells: list[Any] = list(wide.columns)
    small = [c for c in cells if c[0] <= SMALL_ACCESS and (c[0], 1.0) in cells and c[1] < 1]
    if small:
        apart = [difference(wide[c], wide[c[0], 1.0]) for c in small]
        most = max(apart, key=lambda one: abs(one.mean))
        part = f"little effect of b at k up to {SMALL_ACCESS:g} on {name}"
        note = f"where it is largest of {len(small)} cells"
        parts.append(Part(part, stays_within(apart, LITTLE), most, None, POINTS, fewest, note))
    return parts


def _mean_gap(wide: pd.DataFrame, pairs: Sequence[tuple[Cell, Cell]]) -> Estimate:
    """Second minus first cell, averaged over pairs, of the seeds that have all."""
    gaps = [minus(wide[second], wide[first]) for first, second in pairs]
    return estimate(complete(pd.concat(gaps, axis=1)).mean(axis=1))


MONOTONE_RULE = (
    f"MNIST 0/1, untargeted: a fall of harm by {A_POINT} is excluded in {percent_words(1 - CHANCE)} or more"
    f" of the steps between neighbouring cells; it fails if harm surely falls, and by {A_POINT} or more, in more"
    f" than {FEW_CELLS} of them; undecided otherwise"
)


def monotone(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 5."""
    setting = harmed(usual(points, "mnist-01"), statistic)
    rows, beside = attacked(setting, goal="untargeted"), attacked(setting, RANDOM)
    wide: Any = wide_of(rows["harm"], rows, CELL)
    random: Any = wide_of(beside["harm"], beside, CELL)
    parts = []
    for axis, name in enumerate(("k", "b")):
        steps = _steps(list(wide.columns), axis)
        if not steps:
            continue
        found = [difference(wide[after], wide[before]) for before, after in steps]
        down = sum(one.below and one.mean <= -POINT for one in found)
        kept = sum(one.low > -POINT for one in found)
        rises = True if kept >= (1 - CHANCE) * len(found) else None
        holds = False if down > CHANCE * len(found) else rises
        there = [step for step in steps if set(step) <= set(random.columns)]
        note = (
            f"more, mean over {len(found)} steps of {name}; surely down in {down}, a fall of {A_POINT} is"
            f" excluded in {kept}"
        )
        other = _mean_gap(random, there) if there else None
        fewest = min(one.n for one in found)
        parts.append(Part(f"growth in {name}", holds, _mean_gap(wide, steps), other, POINTS, fewest, note))
    return Finding(tuple(parts)) if parts else None


def _steps(cells: list[Cell], axis: int) -> list[tuple[Cell, Cell]]:
    """Neighbouring cells along one axis, on lines with three cells or more."""
    found = []
    for fixed in sorted({cell[1 - axis] for cell in cells}):
        line = sorted(cell for cell in cells if cell[1 - axis] == fixed)
        if len(line) >= 3:
            found += list(itertools.pairwise(line))
    return found


GOAL_LITTLE = 0.02  # that the goals may differ at small k
GOALS_OF = (
    f"from k = {SMALL_ACCESS:g} on, untargeted minus targeted accuracy is surely less than"
    f" {A_POINT} on average, and surely above 0, by {A_POINT} or more, in at most"
    f" {FEW_CELLS} of the cells (it fails if the average is surely more than {A_POINT}, or more of"
    f" the cells); k·b below {HALF:g} and from there on apart, since then the target itself is wrong everywhere. Below"
    f" k = {SMALL_ACCESS:g}, no cell's mean differs by {points_words(GOAL_LITTLE)} or more (it fails if more than"
    f" {FEW_CELLS} of the cells surely do)"
)
GOALS_RULE = f"MNIST 0/1: {GOALS_OF}"


def goals(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 6."""
    parts = goal_parts(points, statistic, "mnist-01")
    return Finding(tuple(parts)) if parts else None


def goal_parts(points: pd.DataFrame, statistic: str, dataset: str, ending: str = "") -> list[Part]:
    """Both goals on one data set, empty where one is absent; names of parts have this ending.

    From half of the labels on the target itself is no longer right anywhere, so these cells stand apart.
    """
    rows = attacked(usual(points, dataset))
    wide: Any = wide_of(rows[f"accuracy.{statistic}"], rows, ["goal", *CELL])
    if wide.empty or not {"untargeted", "targeted"} <= set(wide.columns.get_level_values(0)):
        return []
    apart = (wide["untargeted"] - wide["targeted"]).dropna(axis=1, how="all")
    fewest = int(apart.count().min())
    flipped = {cell: cell[0] * cell[1] for cell in apart.columns}
    groups = {
        f"k from {SMALL_ACCESS:g}, k·b below half": [
            c for c in apart.columns if c[0] >= SMALL_ACCESS and flipped[c] < HALF
        ],
        "k·b from half on": [c for c in apart.columns if c[0] >= SMALL_ACCESS and flipped[c] >= HALF],
    }
    parts = [_goal_part(name + ending, apart[cells], fewest) for name, cells in groups.items() if cells]
    small = [mean_of(apart[c]) for c in apart.columns if c[0] < SMALL_ACCESS]
    if small:
        most = max(small, key=lambda one: abs(one.mean))
        note = f"where they differ most of {len(small)} cells"
        holds = stays_within(small, GOAL_LITTLE)
        parts.append(Part(f"k below {SMALL_ACCESS:g}{ending}", holds, most, None, POINTS, fewest, note))
    return parts


def _goal_part(name: str, apart: pd.DataFrame, fewest: int) -> Part:
    """Untargeted minus targeted accuracy, one seed a row, one cell a column."""
    found = [mean_of(apart[cell]) for cell in apart.columns]
    every = estimate(complete(apart).mean(axis=1))
    more = sum(one.above and one.mean >= POINT for one in found)
    fails = every.low > POINT or more > CHANCE * len(found)
    holds = False if fails else True if every.high < POINT else None
    note = (
        f"untargeted minus targeted accuracy; targeted surely harms more, by {A_POINT}, in {more} of"
        f" {len(found)} cells"
    )
    return Part(name, holds, every, None, POINTS, fewest, note)
