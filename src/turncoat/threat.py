"""Who the attacker is: what it may write to, how much it may flip, when, and what it wants."""

import dataclasses
import math
from collections.abc import Callable, Hashable
from typing import Any

from turncoat import errors
from turncoat.fields import described

GOALS = ("untargeted", "targeted")
SCHEDULES = ("epoch", "step", "once")
PARTS = "epoch/"  # epoch/4: four rounds in an epoch
PLACEMENTS = ("resampled", "fixed")
KNOWLEDGE = ("omniscient", "local", "surrogate")


def rounds_in_epoch(schedule: object) -> int:
    """How often in an epoch the attacker decides, where it is not in every step.

    Raises:
        TurncoatError: if there is no such schedule.
    """
    if isinstance(schedule, str) and schedule.startswith(PARTS):
        number = schedule.removeprefix(PARTS)
        if number.isascii() and number.isdecimal() and 2 <= int(number) <= 10_000:
            return int(number)
        raise errors.TurncoatError(
            f"schedule {schedule!r} names no number of rounds in an epoch: give one from 2 to 10000, such as 'epoch/4'"
        )
    errors.choose(schedule, (*SCHEDULES, f"{PARTS}N"), "schedule")
    return 1


# 0.29 * 100 is 28.999999999999996 in binary: a share that is meant to be exact must not lose a flip
SLIP = 1e-9


def _floor(value: float) -> int:
    return math.floor(value + SLIP)


@errors.known_arguments
@dataclasses.dataclass(frozen=True)
class Threat:
    """An attacker that may only change labels, only of a share of the data, only so many per round.

    ``Threat()`` has no write access: it is the clean run.

    Raises:
        TurncoatError: for a share outside [0, 1] or an unknown name; whether there is a selection of that name is
            found out when the threat is used.
    """

    write_access: float = described(0.0, "k: share of the data the attacker may write to, 0 to 1")
    local_budget: float = described(
        1.0, "b: share of that data it may flip in one round, 0 to 1", flag="--budget"
    )
    goal: str = described("untargeted", "what the flips push against or towards", GOALS)
    selection: str | Callable[..., Any] = described(
        "optimal",
        "rule that spends the flips, by name or as MODULE:CALLABLE of your own; in a federation also a gradient"
        " attack, as a reference",
    )
    schedule: str = described(
        "epoch", "how often the attacker decides: epoch, epoch/N (N times an epoch), step, or once beforehand"
    )
    placement: str = described("resampled", "whether write access is drawn anew each round", PLACEMENTS)
    knowledge: str = described("omniscient", "what the attacker sees", KNOWLEDGE)
    aware: bool = described(
        False, "take the server's optimizer, aggregator or defence into account when choosing the flips"
    )
    last_rounds: int = described(0, "flip in so many of the last epochs alone; 0: in all")

    def __post_init__(self) -> None:
        object.__setattr__(self, "write_access", errors.share(self.write_access, "write_access"))
        object.__setattr__(self, "local_budget", errors.share(self.local_budget, "local_budget"))
        errors.choose(self.goal, GOALS, "goal")
        rounds_in_epoch(self.schedule)
        errors.choose(self.placement, PLACEMENTS, "placement")
        errors.choose(self.knowledge, KNOWLEDGE, "knowledge")
        errors.whole(self.last_rounds, "last_rounds")
        if not isinstance(self.aware, bool):
            raise errors.TurncoatError(f"aware is {errors.shown(self.aware)}, but must be true or false")
        # whether a rule of that name exists is found out where rules live, before anything is trained
        if not callable(self.selection) and not (isinstance(self.selection, str) and self.selection):
            raise errors.TurncoatError(
                f"selection is {errors.shown(self.selection)}, but must be a rule's name, such as 'optimal', or a"
                " callable"
            )
        if not isinstance(self.selection, Hashable):  # threats are told apart by all of their fields
            raise errors.TurncoatError(
                f"selection is {errors.shown(self.selection)}, which cannot be hashed: give its class a __hash__"
            )

    @property
    def global_budget(self) -> float:
        """Corrupted share of all labels, k·b."""
        return self.write_access * self.local_budget

    def writable(self, n: int) -> int:
        """|K| = floor(k·n), the number of examples the attacker may write to."""
        return _floor(self.write_access * n)

    def allowance(self, writable: int) -> int:
        """p = floor(b·|K|), the number of flips in one round where it may write to ``writable`` examples."""
        return _floor(self.local_budget * writable)

    def flips(self, n: int) -> int:
        """The number of labels it may flip in one round over ``n`` examples."""
        return self.allowance(self.writable(n))

    @property
    def is_clean(self) -> bool:
        """Whether there is no attacker at all."""
        return self.write_access == 0


CLEAN = Threat()
