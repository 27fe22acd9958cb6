"""How a recipe's rounds become the steps and phases of a course."""

import dataclasses

from turncoat.metrics import tail
from turncoat.recipe import Recipe

STEPS = 100  # that a course has at least, unless the training itself has fewer
EACH = 24  # rounds up to which every round is a phase of its own
ENDS = (
    0.2,
    0.4,
    0.55,
    0.67,
    0.76,
    0.83,
    0.88,
    0.9,
    0.92,
    0.94,
    0.96,
    0.98,
    1.0,
)  # of phases, else: shares of the rounds
AT = ("mean", "last")


@dataclasses.dataclass(frozen=True)
class Timing:
    """Steps of equal length, the phase of each, and the weights of those after which the aim counts."""

    phase_of: tuple[int, ...]
    looks: dict[int, float]
    rate: float
    ends: tuple[int, ...]  # of phases, in rounds
    still: int = 0  # first phases in which nothing is flipped


def timing(
    recipe: Recipe,
    batches: int,
    once: bool = False,
    at: str = "mean",
    least: int = STEPS,
    last_rounds: int = 0,
) -> Timing:
    """The timing of a recipe whose rounds have so many batches; with ``once`` a plan has a single phase.

    With ``last_rounds`` the rounds before these are phases of their own, in which nothing is flipped.
    Steps are equally long, so where the learning rate changes, rounds differ in how many they are.
    The aim is averaged over the ends of the last 10 % of the rounds, as accuracy is, or counts after the last alone.
    """
    rounds, whole = recipe.epochs, recipe.passed(recipe.epochs, batches)

    def reached(end: int) -> int:
        return round(steps * recipe.passed(end, batches) / whole)

    steps = min(_steps(rounds, least), rounds * batches)
    before = max(0, rounds - last_rounds) if last_rounds else 0
    ends = (rounds,) if once else tuple(sorted({*_ends(rounds), *([before] if before else [])}))
    step_ends = [reached(end) for end in ends]
    # a phase that is shorter than a step has none of its own, and the last takes what comes after it
    kept = [i for i, end in enumerate(step_ends) if end > (step_ends[i - 1] if i else 0)]
    step_ends, ends = [step_ends[i] for i in kept], (*(ends[i] for i in kept[:-1]), rounds)
    phase_of = tuple(next(i for i, end in enumerate(step_ends) if t < end) for t in range(steps))
    counted = 1 if at == "last" else tail(rounds)
    looks: dict[int, float] = {}
    for back in range(counted):
        step = max(1, reached(rounds - back))
        looks[step] = looks.get(step, 0.0) + 1 / counted
    length = recipe.learning_rate / (1 - recipe.momentum) * rounds * (whole / rounds)
    return Timing(phase_of, looks, length / steps, ends, sum(end <= before for end in ends))


def _steps(rounds: int, least: int) -> int:
    return rounds * -(-least // rounds) if rounds < least else least


def _ends(rounds: int) -> tuple[int, ...]:
    if rounds <= EACH:
        return tuple(range(1, rounds + 1))
    return tuple(sorted({round(rounds * share) for share in ENDS}))
