"""What the rules of claims measure, and how they say it: runs of a setting, under a rule, by cell and by seed."""

import itertools
from collections.abc import Iterator, Sequence
from typing import cast

import pandas as pd

from turncoat.analysis.breakdown import global_budget
from turncoat.analysis.estimate import Estimate, estimate
from turncoat.reproduce import evidence

PRINTED, OPTIMAL, RANDOM = "as_printed", "optimal", "random"
# what claims look at beside MNIST with regression
DEEP = (
    ("mnist", "mlp"),
    ("cifar10", "logistic"),
    ("cifar10", "mlp"),
    ("cifar100", "logistic"),
    ("cifar100", "mlp"),
    ("cifar10", "vit"),
)
CELL = ["write_access", "local_budget"]
FEW = 5  # seeds below which a spread over seeds says nothing
CHANCE = 0.05  # of many cells, which may be sure of the wrong thing by chance alone
HALF = 0.5  # of the labels
POINT = 0.01  # of accuracy: a smaller difference does not count


def points_words(value: float) -> str:
    """A share of accuracy as rules say it."""
    return f"{100 * value:g} point{'s' * (value != POINT)}"


def percent_words(share: float) -> str:
    """A share as rules say it."""
    return f"{100 * share:g} %"


def band_words(band: tuple[float, float], factor: float = 100.0, unit: str = " points") -> str:
    """A band as rules say it."""
    low, high = (f"{factor * end:g}" for end in band)
    return f"from {low} to {high}{unit}"


BAND_UNDECIDED = (
    "undecided if its interval is wider than that, or the mean lies outside and the interval does not"
)
A_POINT, FEW_CELLS = points_words(POINT), percent_words(CHANCE)


def stays_within(found: Sequence[Estimate], limit: float) -> bool | None:
    """Whether all means are nearer to 0 than the limit; None if only chance may say that some are not."""
    if any(one.n < 2 for one in found):
        return None
    if all(abs(one.mean) < limit for one in found):
        return True
    return False if sum(one.beyond(limit) for one in found) > CHANCE * len(found) else None


def lies_in(found: Estimate, band: tuple[float, float]) -> bool | None:
    """Whether a mean lies in a band; None if its interval is as wide as the band, or its end lies in it."""
    low, high = band
    if found.low > high or found.high < low:
        return False
    sharp = found.high - found.low <= high - low
    return True if sharp and low <= found.mean <= high else None


def mean_of(values: pd.Series) -> Estimate:
    """The estimate of a column, one number a seed; seeds that lack it are left out."""
    return estimate(values.dropna())


def usual(points: pd.DataFrame, dataset: str, model: str = "logistic") -> pd.DataFrame:
    """The rows of a data set and model with the papers' usual training: pooled, SGD, no early stopping."""
    plain = (points["workers"] == 0) & (points["optimizer"] == "sgd") & (points["patience"] == 0)
    return points[plain & (points["dataset"] == dataset) & (points["model"] == model)]


def attacked(rows: pd.DataFrame, rule: str = PRINTED, goal: str | None = None) -> pd.DataFrame:
    """The rows attacked by a rule, and towards a goal if one is named."""
    keep = (rows["write_access"] > 0) & (rows["selection"] == rule)
    return rows[keep & (rows["goal"] == goal)] if goal else rows[keep]


def random_in(setting: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """A setting's rows under random flips, in the cells (k, b) of other rows."""
    return attacked(setting, RANDOM).merge(cells[CELL].drop_duplicates(), on=CELL)


def harmed(rows: pd.DataFrame, statistic: str) -> pd.DataFrame:
    """The rows with their ``harm``, accuracy of the clean run of the same seed minus theirs, where it is known."""
    return rows.assign(harm=evidence.harms(rows, statistic)).dropna(subset=["harm"])


def by_seed(values: pd.Series, rows: pd.DataFrame) -> pd.Series:
    """The mean over cells for each seed that has all of them, as ``complete`` has it."""
    return complete(wide_of(values, rows, [*CELL, "goal", "selection"])).mean(axis=1)


def complete(wide: pd.DataFrame) -> pd.DataFrame:
    """The seeds (rows) that have all cells (columns); cells with less than half of the seeds are left out."""
    return wide.dropna(axis=1, thresh=(len(wide) + 1) // 2).dropna()


def wide_of(values: pd.Series, rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """One row per seed, one column per cell."""
    return rows.assign(value=values).pivot_table(index="seed", columns=by, values="value")


def pairs_of_equal_budget(rows: pd.DataFrame) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Pairs of cells (k, b) of equal k·b, the one with the smaller k first."""
    cells = rows[CELL].drop_duplicates()
    found = []
    for _, group in cells.assign(budget=global_budget(cells)).sort_values("write_access").groupby("budget"):
        alike = [(float(k), float(b)) for k, b in group[CELL].to_numpy()]
        found += list(itertools.combinations(alike, 2))
    return found


def cells_of(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The runs of each cell, with the cell's name."""
    for cell, group in rows.groupby([*CELL, "goal"]):
        yield cell_text(*cast("tuple[float, float, str]", cell)), group


def cell_text(k: float, b: float, goal: str = "") -> str:
    """A cell's name."""
    return f"k={k:g} b={b:.3g}" + (f" {goal}" if goal else "")
