"""An attacker that knows the learner's guard: it tries flips, gives up those that do not count, and tries on.

What is tried: the whole budget as the selection would spend it, then the same with every flip barred that the guard
dropped before, and smaller shares of the budget, which a guard that counts neighbours or losses may overlook. Kept is
what moves the guarded gradient farthest. This is no optimum: it is what an attacker finds by trying.

Logits, and how they move along Δ and along the gold rows' gradient, are the same whatever the labels: they are taken
once, and a trial costs a few numbers for each row and class, no product with the features.
"""

import dataclasses
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from turncoat.defences import gold
from turncoat.defences.guard import Guard
from turncoat.direction import Params
from turncoat.losses import Loss
from turncoat.models.learned import label_weights, residuals, weighed
from turncoat.models.stack import Model, dot

ROUNDS = 4  # of giving up what was dropped
SHARES = (0.5, 0.25)  # of the budget that are tried beside all of it

Propose = Callable[[float, Tensor | None], Tensor]
"""``propose(share, barred (m, r)) -> labels (m, r)`` of the attacker's rows."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """What flips are tried on: all rows, as one round, with what no label changes of them."""

    guard: Guard
    loss: Loss
    y: Int[Tensor, " n"]
    own: Int[Tensor, " m"]  # rows of the attacker
    logits: Float[Tensor, "n c r"]
    weights: Float[Tensor, "n c r"] | None  # the loss's, of every label
    tangent: Float[Tensor, "n c r"]  # of the logits along Δ
    agreeing: Float[Tensor, "n c r"] | None  # along the gold rows' gradient
    sure: Float[Tensor, " r"]  # the gold rows' own part of ⟨G, Δ⟩

    def outcome(self, chosen: Int[Tensor, "m r"]) -> tuple[Float[Tensor, " r"], Bool[Tensor, "m r"]]:
        """⟨G, Δ⟩ of the guarded gradient G, the more the worse for the learner; and which own rows count in it."""
        labels = self.y.unsqueeze(1).repeat(1, chosen.shape[1])
        labels[self.own] = chosen.to(labels.dtype)
        labels = self.guard.repaired(labels, self.y)
        counted = self.guard.counted(labels)
        rest = weighed(self.loss, self.logits, labels, self.weights)
        share = 1.0 if self.agreeing is None else 1 - gold.SHARE
        weights = self.guard.weights(self.logits, labels, rest, counted, self.agreeing, share)
        counts = ((weights != 0) & (rest != 0).any(1))[self.own]
        return self.sure + (rest.mul_(self.tangent).sum(1) * weights).sum(0), counts


def look(
    guard: Guard,
    model: Model,
    params: Params,
    direction: Params,
    x: Tensor,
    y: Int[Tensor, " n"],
    own: Int[Tensor, " m"],
    known: tuple[Tensor, Int[Tensor, " g"]] | None,
) -> Trial:
    """What flips of the ``own`` rows are tried on; ``known`` are the gold rows, where the guard has any.

    A guard that trains on gold rows alone counts no other, so that there is nothing to try.
    """
    parts = x.split(model.chunk)
    logits = torch.cat([model.logits(params, part) for part in parts])
    each = zip(parts, logits.split(model.chunk), strict=True)
    weights = [w for part, z in each if (w := label_weights(model, params, part, z)) is not None]

    def moved(along: Params) -> Tensor:
        return torch.cat([model.scores(params, part, along) for part in parts])

    agreeing, sure = None, logits.new_zeros(logits.shape[2])
    if known is not None:
        toward = gold.toward(model, params, known[0], _gold_residuals(model, params, *known))
        agreeing, sure = moved(toward), dot(toward, direction, model.replica_axis)
    whole = torch.cat(weights) if weights else None
    return Trial(guard, model.loss, y, own, logits, whole, moved(direction), agreeing, sure)


def _gold_residuals(model: Model, params: Params, x: Tensor, y: Int[Tensor, " g"]) -> Tensor:
    logits = model.logits(params, x)
    rest = residuals(model, params, x, logits, y.unsqueeze(1).expand(-1, logits.shape[2]))
    return rest.mul_(gold.SHARE / len(x))


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
