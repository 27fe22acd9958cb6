"""Training in expectation: the course that a stack takes on soft labels, in steps on all planning rows.

Mini-batches are left to their mean, and many small steps are taken as few longer ones of the same total length.
Along directions in which such a step would overshoot, ``scale`` shortens it to what an exponential step does.
"""

import dataclasses

from jaxtyping import Float, Int
from torch import Tensor

from turncoat.direction import Params
from turncoat.models.stack import Model, expand, zeros
from turncoat.planning.aim import Aim


@dataclasses.dataclass(frozen=True)
class Course:
    """What stays the same from one plan to the next.

    ``phase_of[t]`` is the phase of step t: within a phase the plan holds the same labels. ``looks`` has the weights
    of the steps after which the aim counts. A scale has the shape of a replica's parameters, or broadcasts to it.
    """

    model: Model
    x: Tensor  # (n, …) as the model eats it
    y: Int[Tensor, " n"]
    aim: Aim
    start: Params  # of one replica
    rate: float
    phase_of: tuple[int, ...]
    looks: dict[int, float]
    weight_decay: float = 0.0
    scale: Params | None = None
    still: int = 0  # first phases in which nothing is flipped

    @property
    def steps(self) -> int:
        """How many steps the course has."""
        return len(self.phase_of)

    @property
    def phases(self) -> int:
        """How many sets of labels a plan holds."""
        return self.phase_of[-1] + 1

    def stride(self, direction: Params, times: float = 1.0) -> Params:
        """A step's length along a direction, parameter by parameter."""
        if self.scale is None:
            return {name: self.rate * times * value for name, value in direction.items()}
        return {name: self.rate * times * self.scale[name] * value for name, value in direction.items()}


def gradient(course: Course, params: Params, soft: Float[Tensor, "n c r"]) -> Params:
    """Gradient of the mean cross-entropy of soft labels, with weight decay."""
    total = zeros(params)
    for start in range(0, len(course.x), course.model.chunk):
        rows = slice(start, start + course.model.chunk)
        logits, pull = course.model.forward(params, course.x[rows])
        pull(logits.softmax(1).sub_(soft[rows]), total, 1.0 / len(course.x))
    if course.weight_decay:
        for name, value in total.items():
            value.add_(params[name], alpha=course.weight_decay)
    return total


def trajectory(
    course: Course,
    soft: Float[Tensor, "phases n c r"],
    params: Params | None = None,
    first: int = 0,
    last: int | None = None,
) -> list[Params]:
    """The parameters before step ``first``, given or the course's start, and after each step up to ``last``."""
    if params is None:
        params = expand(course.start, soft.shape[3], course.model.replica_axis)
    passed = [params]
    for step in range(first, course.steps if last is None else last):
        move = course.stride(gradient(course, params, soft[course.phase_of[step]]))
        params = {name: value - move[name] for name, value in params.items()}
        passed.append(params)
    return passed


def sparse(course: Course, soft: Float[Tensor, "phases n c r"], every: int) -> list[Params]:
    """The parameters at each ``every``-th step alone, from which the others are computed again."""
    kept: list[Params] = []
    params: Params | None = None
    for first in range(0, course.steps, every):
        passed = trajectory(course, soft, params, first, min(first + every, course.steps))
        kept.append(passed[0])
        params = passed[-1]
    assert params is not None
    return [*kept, params]
