"""What a search has found so far: legs of trainings, and how much of each stands in the plan.

The worth of a label is a sum over legs of coefficient times score, so that a plan is a function of an example's
features and label, and gives the labels of any rows.
"""

import dataclasses

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from turncoat.direction import Params
from turncoat.models.stack import Model, take
from turncoat.planning.costates import Leg
from turncoat.planning.reach import Reach


@dataclasses.dataclass
class Ledger:
    """Coefficients (legs, r): of the plan as it stands, of the best one so far, of the momentum of the search."""

    legs: list[Leg]
    plan: Float[Tensor, "legs r"]
    best: Float[Tensor, "legs r"]
    momentum: Float[Tensor, "legs r"]

    def keep(self, better: Bool[Tensor, " r"]) -> None:
        """Remember the plans that are the best so far."""
        self.best = torch.where(better, self.plan, self.best)

    def move(
        self,
        legs: list[Leg],
        scale: Float[Tensor, "phases r"],
        step: Float[Tensor, " r"],
        kept: Float[Tensor, " r"],
    ) -> None:
        """Go on along the new legs and what is kept of the momentum."""
        new = torch.stack([scale[leg.phase] for leg in legs])
        none = torch.zeros_like(new)
        self.legs = [*self.legs, *legs]
        self.momentum = torch.cat([kept * self.momentum, new])
        self.plan = torch.cat([self.plan, none]) + step * self.momentum
        self.best = torch.cat([self.best, none])

    def fold(self, axis: dict[str, int]) -> None:
        """Where scores do not depend on the parameters, three legs a phase say all that many do."""
        phases = sorted({leg.phase for leg in self.legs})
        parts = (self.plan, self.best, self.momentum)
        self.legs = [summed(self.legs, part, phase, axis) for phase in phases for part in parts]
        unit = torch.eye(3).repeat(len(phases), 1).to(self.plan)
        replicas = self.plan.shape[1]
        self.plan, self.best, self.momentum = (
            column.unsqueeze(1).expand(-1, replicas).clone() for column in unit.T
        )

    def some(self, replicas: Int[Tensor, " s"], axis: dict[str, int]) -> "Ledger":
        """The ledger of some replicas, in that order."""
        legs = [
            Leg(leg.phase, take(leg.params, replicas, axis), take(leg.direction, replicas, axis))
            for leg in self.legs
        ]
        return Ledger(legs, self.plan[:, replicas], self.best[:, replicas], self.momentum[:, replicas])


def blank(replicas: int, device: torch.device) -> Ledger:
    """A ledger of nothing."""
    none = torch.zeros(0, replicas, device=device)
    return Ledger([], none, none.clone(), none.clone())


def summed(legs: list[Leg], part: Float[Tensor, "legs r"], phase: int, axis: dict[str, int]) -> Leg:
    """One leg for all of a phase."""
    own = [(leg, part[i]) for i, leg in enumerate(legs) if leg.phase == phase]
    direction: Params = {
        name: torch.stack(
            [leg.direction[name] * _along(weight, leg.direction[name], axis[name]) for leg, weight in own]
        ).sum(0)
        for name in own[0][0].direction
    }
    return Leg(phase, own[0][0].params, direction)


def worth(
    model: Model, x: Tensor, legs: list[Leg], part: Float[Tensor, "legs r"], phase: int
) -> Float[Tensor, "n c r"]:
    """What each label of these rows is worth in a phase, by the legs and their coefficients."""
    result = x.new_zeros(len(x), model.classes, part.shape[1])
    for leg, weight in zip(legs, part, strict=True):
        if leg.phase != phase or not bool(weight.any()):
            continue
        for start in range(0, len(x), model.chunk):
            rows = slice(start, start + model.chunk)
            result[rows] += weight * model.scores(leg.params, x[rows], leg.direction)
    return result


def worth_of_blocks(
    model: Model, x: Tensor, legs: list[Leg], part: Float[Tensor, "legs r"], phase: int, reach: Reach
) -> Float[Tensor, "n c r"]:
    """The same where rows belong to several workers: a leg's phase then counts the workers within each phase."""
    every = reach.each(len(x))
    return torch.cat(
        [
            worth(model, x[rows], legs, part, phase * len(every) + worker)
            for worker, (rows, _) in enumerate(every)
        ]
    )


def _along(weight: Float[Tensor, " r"], like: Tensor, axis: int) -> Tensor:
    shape = [1] * like.ndim
    shape[axis] = len(weight)
    return weight.view(shape)
