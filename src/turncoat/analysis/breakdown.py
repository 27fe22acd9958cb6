"""Global budgets, and the one at which a model breaks down."""

import math
from collections.abc import Iterable

import pandas as pd


def global_budget(rows: pd.DataFrame) -> pd.Series:
    """k·b, rounded so that 0.1·0.5 and 0.5·0.1 are one budget."""
    return (rows["write_access"] * rows["local_budget"]).round(6)


def breakdown_budget(
    budgets: Iterable[float], lows: Iterable[float], harm_lows: Iterable[float], chance: float
) -> float:
    """Smallest global budget whose accuracy falls to chance within its interval; infinity if none does.

    The harm must be sure as well: an interval that reaches from chance to the clean accuracy, as that of two seeds may,
    knows nothing. Both lower ends are NaN for one seed, so that it never counts.
    """
    cells = zip(budgets, lows, harm_lows, strict=True)
    return min((b for b, low, harm in cells if b > 0 and low <= chance and harm > 0), default=math.inf)
