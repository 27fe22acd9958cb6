"""Runs of the same seed beside each other, and cells over their seeds.

Tables here are long: one row a run, with its cell (the columns ``by``), its ``seed`` and a ``value``.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from turncoat.analysis.estimate import Estimate, estimate, statistics

FIGURES = ("mean", "std", "median", "low", "high", "seeds")


def minus(first: pd.Series, second: pd.Series) -> pd.Series:
    """First minus second, both by seed, for the seeds that both have: harm is a clean run's figure minus its twin's."""
    return (first - second).dropna()


def difference(first: pd.Series, second: pd.Series) -> Estimate:
    """First minus second, both by seed, over the seeds that both have."""
    return estimate(minus(first, second))


def differences(first: pd.DataFrame, second: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """First minus second for every cell and seed that both have; ``by`` may be fewer columns than a cell of first."""
    both = first.merge(second[[*by, "seed", "value"]], on=[*by, "seed"], suffixes=("", "_other"))
    both["value"] -= both.pop("value_other")
    return both


def over_seeds(values: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """One row a cell: the statistics over seeds of ``value``, and how many ``seeds`` there are."""
    found: list[dict[str, Any]] = []
    for key, group in values.groupby(list(by)):
        cell = dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True))
        found.append(cell | statistics(group["value"]) | {"seeds": len(group)})
    return pd.DataFrame(found, columns=[*by, *FIGURES])


def sure(table: pd.DataFrame) -> pd.Series:
    """For each cell of ``over_seeds`` whether its interval leaves out 0, which that of one seed never does."""
    return (table["low"] > 0) | (table["high"] < 0)
