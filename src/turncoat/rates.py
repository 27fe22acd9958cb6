"""Schedules of the learning rate: what it is multiplied with at each step of a training.

Every figure is one of the step's number alone, so that a training that was cut off goes on as it was.
"""

import functools
import itertools
import math
from collections.abc import Callable

from turncoat import errors
from turncoat.errors import TurncoatError

CONSTANT, COSINE, STEP = "constant", "cosine", "step"
FORMS = (CONSTANT, COSINE, "step:E1,E2:FACTOR")

Rate = Callable[[int], float]
"""What the learning rate is multiplied with at a step, counted from 1."""


def written(schedule: object, epochs: int, warmup: int) -> str:
    """The schedule in its one spelling.

    Raises:
        TurncoatError: for an unknown schedule, one that changes nothing in so many epochs, or a warm-up as long.
    """
    if warmup >= epochs:
        raise TurncoatError(
            f"warmup is {warmup}, but there are only {epochs} epochs: set warmup to fewer, or set epochs to more"
        )
    if not isinstance(schedule, str) or schedule.partition(":")[0] != STEP:
        return errors.choose(schedule, FORMS, "lr_schedule")
    ends, factor = _milestones(schedule)
    if ends[-1] >= epochs:
        raise TurncoatError(
            f"lr_schedule {schedule!r} would do nothing after {ends[-1]} epochs, for there are only {epochs}: leave"
            " that out, or set epochs to more"
        )
    return f"{STEP}:{','.join(map(str, ends))}:{factor:g}"


def rate(schedule: str, epochs: int, warmup: int, each: int) -> Rate:
    """The multiplier of a schedule as ``written`` gives it, in a training with ``each`` steps in an epoch.

    A warm-up rises evenly, step by step, and reaches 1 with its last step. "cosine" (Loshchilov and Hutter 2017,
    without restarts) then falls over the steps that are left, as ½(1 + cos πt). "step" multiplies with its factor
    after each of its epochs.
    """
    rising = warmup * each
    ends, factor = _milestones(schedule) if schedule.startswith(STEP) else ([], 1.0)
    left = epochs * each - rising

    def multiplier(step: int) -> float:
        warm = min(1.0, step / rising) if rising else 1.0
        if schedule == COSINE:
            return warm * (1 + math.cos(math.pi * max(0, step - 1 - rising) / left)) / 2
        return warm * factor ** sum(step > end * each for end in ends)

    return multiplier


@functools.lru_cache(maxsize=64)
def passed(schedule: str, epochs: int, warmup: int, each: int) -> tuple[float, ...]:
    """How far a training has come after 0, 1, … epochs, in steps of the full learning rate."""
    multiplier = rate(schedule, epochs, warmup, each)
    own = (
        sum(multiplier(step) for step in range(epoch * each + 1, (epoch + 1) * each + 1))
        for epoch in range(epochs)
    )
    return tuple(itertools.accumulate(own, initial=0.0))


def _milestones(schedule: str) -> tuple[list[int], float]:
    """The epochs after which a "step:E1,E2:FACTOR" multiplies, and with what."""
    _, _, rest = schedule.partition(":")
    after, _, factor = rest.partition(":")
    parts = [part.strip() for part in after.split(",")]
    ends = [int(part) for part in parts if part.isdecimal()]
    rising = all(a < b for a, b in itertools.pairwise([0, *ends]))
    try:
        number = float(factor)
    except ValueError:
        number = math.nan
    if len(ends) < len(parts) or not rising or not 0 < number < math.inf or number == 1:
        raise TurncoatError(
            f"lr_schedule {errors.shown(schedule)} must name rising epochs and what to multiply with after each, as"
            " in 'step:30,60:0.1'"
        )
    return ends, number
