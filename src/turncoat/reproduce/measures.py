"""What the rules of claims measure: paired over seeds, with bootstrap intervals."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import cast

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from turncoat import metrics

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


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over seeds with two 95 % intervals, which one seed alone leaves without ends.

    ``low`` and ``high`` are the bootstrap interval that tables show. With few seeds it reaches from the smallest to
    the largest value and no farther, which is too short to decide by: ``sure_low`` and ``sure_high`` are Student's.
    """

    mean: float
    low: float
    high: float
    seeds: int
    sure_low: float
    sure_high: float

    @property
    def above(self) -> bool:
        """Whether it is surely above 0."""
        return self.sure_low > 0

    @property
    def below(self) -> bool:
        """Whether it is surely below 0."""
        return self.sure_high < 0

    def beyond(self, limit: float) -> bool:
        """Whether it is surely farther from 0 than this."""
        return self.sure_low > limit or self.sure_high < -limit


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a rule found in one scale: whether each of a claim's parts holds, by name, and the figure shown for it.

    A part is None where there are too few seeds to tell.
    """

    parts: Mapping[str, bool | None]
    measured: str
    estimate: Estimate | None = None
    seeds: int = 0

    @property
    def verdict(self) -> str:
        """``holds``, ``does not hold``, ``undecided``; or with the parts that hold: ``holds only if`` others do not,
        ``holds for`` while others are undecided.
        """
        good = [name for name, holds in self.parts.items() if holds]
        unsure = [name for name, holds in self.parts.items() if holds is None]
        fails = False in self.parts.values()
        if not good:
            return FAILS if fails else UNDECIDED
        if len(good) == len(self.parts):
            return HOLDS
        told = f"; {UNDECIDED}: {', '.join(unsure)}" if unsure else ""
        return f"{ONLY_IF if fails else HOLDS_FOR} {', '.join(good)}{told}"


HOLDS, HOLDS_FOR, ONLY_IF, FAILS = "holds", "holds for", "holds only if", "does not hold"
UNDECIDED, UNKNOWN = "undecided", "not measured"
FEW = 5  # seeds below which a spread over seeds says nothing
CHANCE = 0.05  # of many cells, which may be sure of the wrong thing by chance alone
LEVEL = 0.95
HALF = 0.5  # of the labels
POINT = 0.01  # of accuracy: a smaller difference does not count


def estimate(values: Iterable[float]) -> Estimate:
    """The mean of one number per seed."""
    known = np.array([v for v in values if not math.isnan(v)], dtype=float)
    count = len(known)
    mean = float(known.mean()) if count else math.nan
    if count < 2:
        return Estimate(mean, -math.inf, math.inf, count, -math.inf, math.inf)
    half = half_width(float(known.std(ddof=1)), count)
    return Estimate(mean, *metrics.interval(known), count, mean - half, mean + half)


def half_width(std: float, count: int) -> float:
    """Half of Student's 95 % interval of a mean over this many seeds, two or more."""
    return float(stdtrit(count - 1, (1 + LEVEL) / 2)) * std / math.sqrt(count)


def jackknifed(table: pd.DataFrame, figure: Callable[[np.ndarray], float]) -> Estimate:
    """A figure of a table with one row per seed, and Student's interval over the jackknife's pseudo-values.

    The figure takes (seeds, columns) and gives a number. A bootstrap would not do for a spread over seeds: a seed that
    is drawn twice makes it smaller.
    """
    values = table.dropna().to_numpy(dtype=float)
    count = len(values)
    if count < 3:  # without one of two seeds there is no spread
        mean = figure(values) if count > 1 else math.nan
        return Estimate(mean, -math.inf, math.inf, count, -math.inf, math.inf)
    whole = figure(values)
    pseudo = np.array([count * whole - (count - 1) * figure(np.delete(values, i, 0)) for i in range(count)])
    half = half_width(float(pseudo.std(ddof=1)), count)
    low, high = float(pseudo.mean()) - half, float(pseudo.mean()) + half
    return Estimate(whole, low, high, count, low, high)


def stays_within(found: Sequence[Estimate], limit: float) -> bool | None:
    """Whether all means are nearer to 0 than the limit; None if only chance may say that some are not."""
    if any(one.seeds < 2 for one in found):
        return None
    if all(abs(one.mean) < limit for one in found):
        return True
    return False if sum(one.beyond(limit) for one in found) > CHANCE * len(found) else None


def lies_in(found: Estimate, band: tuple[float, float]) -> bool | None:
    """Whether a mean lies in a band; None if its interval is as wide as the band, or its end lies in it."""
    low, high = band
    if found.sure_low > high or found.sure_high < low:
        return False
    sharp = found.sure_high - found.sure_low <= high - low
    return True if sharp and low <= found.mean <= high else None


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


def budget(rows: pd.DataFrame) -> pd.Series:
    """k·b, rounded so that equal budgets are equal."""
    return (rows["write_access"] * rows["local_budget"]).round(6)


def harmed(rows: pd.DataFrame, statistic: str) -> pd.DataFrame:
    """The rows with their ``harm``, accuracy of the clean run of the same seed minus theirs, where it is known."""
    known = rows.assign(harm=rows[f"clean.{statistic}"] - rows[f"accuracy.{statistic}"])
    return known.dropna(subset=["harm"])


def by_seed(values: pd.Series, rows: pd.DataFrame) -> pd.Series:
    """The mean over cells for each seed that has all of them, as ``complete`` has it."""
    return complete(wide_of(values, rows, [*CELL, "goal", "selection"])).mean(axis=1)


def complete(wide: pd.DataFrame) -> pd.DataFrame:
    """The seeds (rows) that have all cells (columns); cells with less than half of the seeds are left out."""
    return wide.dropna(axis=1, thresh=(len(wide) + 1) // 2).dropna()


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


def with_interval(found: Estimate, form: str) -> str:
    """A figure with its interval, if it has one."""
    if not math.isfinite(found.low):
        return f"{found.mean:{form}}"
    return f"{found.mean:{form}} [{found.low:{form}}, {found.high:{form}}]"


def cells_of(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The runs of each cell, with the cell's name."""
    for cell, group in rows.groupby([*CELL, "goal"]):
        yield cell_text(*cast("tuple[float, float, str]", cell)), group


def cell_text(k: float, b: float, goal: str = "") -> str:
    """A cell's name."""
    return f"k={k:g} b={b:.3g}" + (f" {goal}" if goal else "")
