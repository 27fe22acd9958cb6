"""The budget at which a model breaks down."""

import math
from collections.abc import Iterable


def breakdown_budget(
    budgets: Iterable[float], lows: Iterable[float], harm_lows: Iterable[float], chance: float
) -> float:
    """Smallest global budget whose accuracy falls to chance within its interval; infinity if none does.

    The harm must be sure as well: an interval that reaches from chance to the clean accuracy, as that of two seeds may,
    knows nothing. Both lower ends are NaN for one seed, so that it never counts.
    """
    cells = zip(budgets, lows, harm_lows, strict=True)
    return min((b for b, low, harm in cells if b > 0 and low <= chance and harm > 0), default=math.inf)
