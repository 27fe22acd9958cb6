"""An attacker that knows the learner's guard: it tries flips, gives up those that do not count, and tries on.

What is tried: the whole budget as the selection would spend it, then the same with every flip barred that the guard
dropped before, and smaller shares of the budget, which a guard that counts neighbours or losses may overlook. Kept is
what moves the guarded gradient farthest. This is no optimum: it is what an attacker finds by trying.
"""

import dataclasses
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from turncoat.defences.guard import Guard
from turncoat.direction import Params
from turncoat.models.stack import Model, dot, zeros

ROUNDS = 4  # of giving up what was dropped
SHARES = (0.5, 0.25)  # of the budget that are tried beside all of it

Propose = Callable[[float, Tensor | None], Tensor]
"""``propose(share, barred (m, r)) -> labels (m, r)`` of the attacker's rows."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """What flips are tried on: all rows, as one round."""

    guard: Guard
    model: Model
    params: Params
    direction: Params
    x: Tensor
    y: Int[Tensor, " n"]
    own: Int[Tensor, " m"]  # rows of the attacker
    known: tuple[Tensor, Int[Tensor, " g"]] | None  # the gold rows

    def outcome(self, chosen: Int[Tensor, "m r"]) -> tuple[Float[Tensor, " r"], Bool[Tensor, "m r"]]:
        """⟨G, Δ⟩ of the guarded gradient G, the more the worse for the learner; and which own rows count in it."""
        labels = self.y.unsqueeze(1).repeat(1, chosen.shape[1])
        labels[self.own] = chosen.to(labels.dtype)
        labels = self.guard.repaired(labels, self.y)
        counted = self.guard.counted(labels)
        rest, pull = self.guard.gradient(self.model, self.params, self.x, labels, counted, self.known)
        total = zeros(self.params)
        pull(rest, total, 1.0)
        n = len(self.x)
        counts = (
            (rest[:n] != 0).any(1)[self.own] if len(rest) >= n else torch.zeros_like(chosen, dtype=torch.bool)
        )
        return dot(total, self.direction, self.model.replica_axis), counts


def past_the_guard(trial: Trial, propose: Propose) -> Int[Tensor, "m r"]:
    """The flips that move the guarded gradient farthest among those tried, per replica."""
    honest = trial.y[trial.own].unsqueeze(1)
    best = propose(1.0, None)
    barred = torch.zeros_like(best, dtype=torch.bool)
    most, counts = trial.outcome(best)
    chosen = best
    for share in (*(1.0,) * ROUNDS, *SHARES):
        dropped = (chosen != honest) & ~counts
        if share == 1.0 and not (dropped & ~barred).any():
            continue
        barred = barred | dropped
        chosen = propose(share, barred)
        harm, counts = trial.outcome(chosen)
        best = torch.where(harm > most, chosen, best)
        most = torch.maximum(harm, most)
    return best
