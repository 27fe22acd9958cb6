"""What the rules of claims measure: paired over seeds, with bootstrap intervals."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import cast

import numpy as np
import pandas as pd

from turncoat import metrics

PRINTED, OPTIMAL, RANDOM = "as_printed", "optimal", "random"
CELL = ["write_access", "local_budget"]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over seeds and its 95 % interval, which one seed alone leaves without ends."""

    mean: float
    low: float
    high: float
    seeds: int

    @property
    def above(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0

    @property
    def below(self) -> bool:
        """Whether the whole interval lies below 0."""
        return self.high < 0


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a rule found in one scale: ``holds`` of a claim's parts, by name, and the figure shown for it."""

    parts: dict[str, bool]
    measured: str
    estimate: Estimate | None = None
    seeds: int = 0

    @property
    def verdict(self) -> str:
        """``holds``, ``does not hold``, or ``holds only if`` with the parts that do."""
        good = [name for name, holds in self.parts.items() if holds]
        if len(good) == len(self.parts):
            return HOLDS
        return f"{ONLY_IF} {shortened(good)}" if good else FAILS


HOLDS, ONLY_IF, FAILS, UNKNOWN = "holds", "holds only if", "does not hold", "not measured"
MOST = 6  # names listed in a verdict


def shortened(names: list[str]) -> str:
    """A list in words, cut after a few."""
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more


def estimate(values: Iterable[float]) -> Estimate:
    """The mean of one number per seed."""
    known = np.array([v for v in values if not math.isnan(v)], dtype=float)
    if len(known) < 2:
        return Estimate(float(known.mean()) if len(known) else math.nan, -math.inf, math.inf, len(known))
    return Estimate(float(known.mean()), *metrics.interval(known), len(known))


def resampled(table: pd.DataFrame, figure: Callable[[np.ndarray], float]) -> Estimate:
    """A figure of a table with one row per seed, and its interval over resampled seeds.

    The figure takes (seeds, columns) and gives a number.
    """
    values = table.dropna().to_numpy(dtype=float)
    count = len(values)
    if count < 2:
        return Estimate(figure(values) if count else math.nan, -math.inf, math.inf, count)
    draws = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
    found = np.array([figure(values[draw]) for draw in draws])
    low, high = np.nanquantile(found, [0.025, 0.975])
    return Estimate(figure(values), float(low), float(high), count)


RESAMPLES = 500


def usual(points: pd.DataFrame, dataset: str, model: str = "logistic") -> pd.DataFrame:
    """The rows of a data set and model with the papers' usual training: pooled, SGD, no early stopping."""
    plain = (points["workers"] == 0) & (points["optimizer"] == "sgd") & (points["patience"] == 0)
    return points[plain & (points["dataset"] == dataset) & (points["model"] == model)]


def attacked(rows: pd.DataFrame, rule: str = PRINTED, goal: str | None = None) -> pd.DataFrame:
    """The rows attacked by a rule, and towards a goal if one is named."""
    keep = (rows["write_access"] > 0) & (rows["selection"] == rule)
    return rows[keep & (rows["goal"] == goal)] if goal else rows[keep]


def budget(rows: pd.DataFrame) -> pd.Series:
    """k·b, rounded so that equal budgets are equal."""
    return (rows["write_access"] * rows["local_budget"]).round(6)


def harm(rows: pd.DataFrame, statistic: str) -> pd.Series:
    """Accuracy of the clean run of the same seed minus that of each run."""
    return rows[f"clean.{statistic}"] - rows[f"accuracy.{statistic}"]


def by_seed(values: pd.Series, rows: pd.DataFrame) -> pd.Series:
    """The mean over cells for each seed that has all of them."""
    wide = wide_of(values, rows, [*CELL, "goal", "selection"])
    return wide.dropna().mean(axis=1)


def wide_of(values: pd.Series, rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """One row per seed, one column per cell."""
    return rows.assign(value=values).pivot_table(index="seed", columns=by, values="value")


def difference(first: pd.Series, second: pd.Series) -> Estimate:
    """First minus second (indexed by seed), over the seeds that both have."""
    return estimate((first - second).dropna())


def pairs_of_equal_budget(rows: pd.DataFrame) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Pairs of cells (k, b) of equal k·b, the one with the smaller k first."""
    cells = rows[CELL].drop_duplicates()
    found = []
    for _, group in cells.assign(budget=budget(cells)).sort_values("write_access").groupby("budget"):
        alike = [(float(k), float(b)) for k, b in group[CELL].to_numpy()]
        found += list(itertools.combinations(alike, 2))
    return found


def percent(value: float) -> str:
    """A share in points."""
    return f"{100 * value:.1f}"


def points_text(found: Estimate) -> str:
    """An estimate in points with its interval."""
    if not math.isfinite(found.low):
        return f"{percent(found.mean)} points"
    return f"{percent(found.mean)} [{percent(found.low)}, {percent(found.high)}] points"


def cells_of(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The runs of each cell, with the cell's name."""
    for cell, group in rows.groupby([*CELL, "goal"]):
        yield cell_text(*cast("tuple[float, float, str]", cell)), group


def cell_text(k: float, b: float, goal: str = "") -> str:
    """A cell's name."""
    return f"k={k:g} b={b:.3g}" + (f" {goal}" if goal else "")
