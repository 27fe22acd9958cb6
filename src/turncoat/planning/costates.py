"""What each label is worth over a whole training: label scores along the costates (Pontryagin's principle).

With A the aim and θ_{t+1} = θ_t - P(∇L_q(θ_t) + wθ_t), going back through the training gives

    λ_T = ∇A(θ_T),   λ_t = λ_{t+1} - (H(θ_t) + w) P λ_{t+1},   n · dA/dq_i[c] = Σ_t (J_i(θ_t) P λ_{t+1})_c

where the sum runs over the steps at which the label holds; where A is a mean over several looks, each adds its own
gradient to the costate as the recursion passes it.
"""

import dataclasses
import math

import torch
from jaxtyping import Float
from torch import Tensor

from turncoat.direction import Params
from turncoat.models.stack import zeros
from turncoat.planning import aim as aims
from turncoat.planning.course import Course, sparse, trajectory

KEPT = 1 << 29  # bytes of parameters along the way; a longer course is computed again from what is kept


@dataclasses.dataclass(frozen=True)
class Leg:
    """Some steps of a phase: scores of its labels are those along ``direction`` at ``params``."""

    phase: int
    params: Params
    direction: Params


@dataclasses.dataclass(frozen=True)
class Return:
    """What the way back through a training found: the objective, at its own sharpness and as plans are judged."""

    objective: Float[Tensor, " r"]
    judged: Float[Tensor, " r"]
    legs: list[Leg]


def way_back(course: Course, soft: Float[Tensor, "phases n c r"], legs: int = 1) -> Return:
    """Train in expectation on these labels and go back, with so many legs a phase.

    For models that are linear in their parameters one leg is exact: derivatives are the same at every step. For
    others a leg's scores are those at its middle step, and exact where each step has a leg of its own.
    """
    every = _every(course, soft.shape[3])
    kept = sparse(course, soft, every)
    costate = zeros(kept[-1])
    found: dict[int, Leg] = {}
    objective: Tensor | float = 0.0
    judged: Tensor | float = 0.0
    leg_of, middle = _legs(course, legs)
    for number in range(len(kept) - 2, -1, -1):
        first = number * every
        last = min(first + every, course.steps)
        passed = [*trajectory(course, soft, kept[number], first, last - 1), kept[number + 1]]
        for step in range(first + len(passed) - 2, first - 1, -1):
            after, before = passed[step + 1 - first], passed[step - first]
            if weight := course.looks.get(step + 1):
                value, slope = aims.slope(course.aim, course.model, after, course.x)
                objective = objective + weight * value
                judged = judged + weight * aims.value(course.aim, course.model, after, course.x)
                costate = {name: c.add_(slope[name], alpha=weight) for name, c in costate.items()}
            stride = course.stride(costate)
            _add_to_leg(found, leg_of[step], Leg(course.phase_of[step], before, stride))
            if step == middle[leg_of[step]]:
                found[leg_of[step]] = dataclasses.replace(found[leg_of[step]], params=before)
            _back_one(course, before, soft[course.phase_of[step]], stride, costate)
    assert isinstance(objective, Tensor) and isinstance(judged, Tensor)
    return Return(objective, judged, [found[number] for number in sorted(found)])


def outcome(course: Course, soft: Float[Tensor, "phases n c r"]) -> Float[Tensor, " r"]:
    """The objective, as plans are judged, of a training in expectation on these labels."""
    passed = trajectory(course, soft)
    looks = [
        weight * aims.value(course.aim, course.model, passed[step], course.x)
        for step, weight in course.looks.items()
    ]
    return torch.stack(looks).sum(0)


def _back_one(
    course: Course, params: Params, soft: Float[Tensor, "n c r"], stride: Params, costate: Params
) -> None:
    """λ ← λ - (H + w) P λ, in place."""
    for start in range(0, len(course.x), course.model.chunk):
        rows = slice(start, start + course.model.chunk)
        course.model.hessian_product(
            params, course.x[rows], soft[rows], stride, costate, -1.0 / len(course.x)
        )
    if course.weight_decay:
        for name, value in costate.items():
            value.sub_(stride[name], alpha=course.weight_decay)


def _add_to_leg(found: dict[int, Leg], number: int, one: Leg) -> None:
    if number not in found:
        found[number] = one
        return
    for name, value in found[number].direction.items():
        value.add_(one.direction[name])


def _legs(course: Course, most: int) -> tuple[list[int], dict[int, int]]:
    """Each step's leg, and each leg's middle step."""
    leg_of: list[int] = []
    middle: dict[int, int] = {}
    for phase in range(course.phases):
        steps = [t for t, own in enumerate(course.phase_of) if own == phase]
        count = min(most, len(steps))
        first = len(middle)
        numbers = [first + i * count // len(steps) for i in range(len(steps))]
        leg_of += numbers
        for number in range(first, first + count):
            own = [t for t, leg in zip(steps, numbers, strict=True) if leg == number]
            middle[number] = own[len(own) // 2]
    return leg_of, middle


def _every(course: Course, replicas: int) -> int:
    """How many steps apart parameters are kept: all where they fit, else about √T."""
    size = 4 * replicas * sum(value.numel() for value in course.start.values())
    return 1 if size * course.steps <= KEPT else math.isqrt(course.steps) + 1
