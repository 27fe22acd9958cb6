"""The one way from numbers of seeds to a figure: its mean, and Student's interval."""

import dataclasses
import math
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
from jaxtyping import Float

LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over ``n`` seeds with its 95 % interval.

    One seed has no interval: its ends are NaN, so that no comparison with them holds and nothing is sure.
    """

    mean: float
    low: float
    high: float
    n: int

    @property
    def has_interval(self) -> bool:
        """Whether it rests on enough seeds for one."""
        return math.isfinite(self.low)

    @property
    def with_interval(self) -> tuple[float, float, float]:
        """The mean and both ends of its interval, as tables show them."""
        return self.mean, self.low, self.high

    @property
    def above(self) -> bool:
        """Whether it is surely above 0."""
        return self.low > 0

    @property
    def below(self) -> bool:
        """Whether it is surely below 0."""
        return self.high < 0

    @property
    def sure(self) -> bool:
        """Whether its interval leaves out 0."""
        return self.above or self.below

    def beyond(self, limit: float) -> bool:
        """Whether it is surely farther from 0 than this."""
        return self.low > limit or self.high < -limit


def estimate(values: Iterable[float]) -> Estimate:
    """The mean of one number a seed, with Student's interval; NaN if there are none, or one of them is."""
    known = np.array(list(values), dtype=float)
    if not len(known):
        return Estimate(math.nan, math.nan, math.nan, 0)
    mean, std = known.mean(keepdims=True), spread(known.reshape(-1, 1))
    low, high = student(mean, std, np.array([len(known)]))
    return Estimate(float(mean[0]), float(low[0]), float(high[0]), len(known))


def student(
    means: Float[np.ndarray, " t"], stds: Float[np.ndarray, " t"], counts: np.ndarray
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    """Ends of Student's 95 % interval of means over so many seeds; NaN where these are fewer than two."""
    from scipy.special import stdtrit  # a fifth of a second to import; scipy.stats.t takes twice that

    enough = np.where(counts > 1, counts, np.nan)
    half = stdtrit(enough - 1, (1 + LEVEL) / 2) * stds / np.sqrt(enough)
    return means - half, means + half


def spread(values: Float[np.ndarray, "s t"]) -> Float[np.ndarray, " t"]:
    """Standard deviation over seeds (n - 1) of every column; 0 of one seed."""
    return values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1])


def statistics(values: Iterable[float]) -> dict[str, float]:
    """What tables show of one number a seed: mean, standard deviation (n - 1), median, ends of the interval."""
    known = np.array(list(values), dtype=float)
    found = estimate(known)
    return {
        "mean": found.mean,
        "std": float(spread(known.reshape(-1, 1))[0]),
        "median": float(np.median(known)),
        "low": found.low,
        "high": found.high,
    }


def jackknifed(table: pd.DataFrame, figure: Callable[[np.ndarray], float]) -> Estimate:
    """A figure of a table with one row a seed, and Student's interval over the jackknife's pseudo-values.

    The figure takes (seeds, columns) and gives a number. A bootstrap would not do for a spread over seeds: a seed that
    is drawn twice makes it smaller. With two seeds there is no interval: without one of them there is no spread.
    """
    values = table.dropna().to_numpy(dtype=float)
    count = len(values)
    if count < 3:
        return Estimate(figure(values) if count > 1 else math.nan, math.nan, math.nan, count)
    whole = figure(values)
    found = estimate(count * whole - (count - 1) * figure(np.delete(values, i, 0)) for i in range(count))
    return Estimate(whole, found.low, found.high, count)
