"""The figure of a run: what its curve reached."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float

from turncoat import errors
from turncoat.metrics import tail_mean


def last(curve: Float[np.ndarray, " t"]) -> float:
    """The last epoch's."""
    return float(curve[-1])


STATISTICS: Mapping[str, Callable[[np.ndarray], float]] = {"tail": tail_mean, "last": last}
"""What one number may stand for a curve: the mean of its last 10 %, or its last epoch."""

SPOKEN: Mapping[str, str] = {"tail": "mean of the last 10 % of epochs", "last": "last epoch"}


def reached(curve: Float[np.ndarray, " t"], statistic: str = "tail") -> float:
    """One number for a curve over epochs.

    Raises:
        TurncoatError: for an unknown statistic.
    """
    return STATISTICS[errors.choose(statistic, STATISTICS, "statistic")](curve)
