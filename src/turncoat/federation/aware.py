"""An attacker that knows the server's rule: it tries flips against the true aggregate and keeps what harms most.

The optimal flips are exact for the mean. A robust rule may throw out what stands out, so that fewer flips move the
aggregate farther. The number of flips is searched, and full use of the budget is always among what is tried.
Other directions for the flips (along the rule's derivative, or scaled by the honest spread) and fewer workers that
flip were tried too and gained nothing worth their cost: docs/measurements.md.
"""

import dataclasses
from collections.abc import Callable

import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

from turncoat.direction import Params
from turncoat.federation.crowd import Crowd
from turncoat.federation.messages import differences, gradients, pack
from turncoat.models.stack import Model

FRACTIONS = (1.0, 0.75, 0.5, 0.375, 0.25, 0.1875, 0.125, 0.0625)  # of the budget; ties go to the larger share
SAMPLE_ROUNDS = 4  # of an epoch, on which flips are tried

Propose = Callable[[float], Tensor]
"""``propose(fraction) -> labels (m, r)`` of the hostile workers' rows, with this share of every budget spent."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """Some rounds of a crowd, as far as an attacker can see them."""

    crowd: Crowd
    rounds: Int[Tensor, "s m b"]
    who: Int[Tensor, "s m"]  # the workers that take part


@dataclasses.dataclass(frozen=True)
class Trial:
    """What flips are tried on."""

    model: Model
    params: Params
    direction: Params
    x: Tensor  # all features
    y: Int[Tensor, " n"]
    sample: Sample
    own: Int[Tensor, " m"]  # rows of the hostile workers
    rate: float

    def harm(self, chosen: Int[Tensor, "m r"]) -> Float[Tensor, " r"]:
        """⟨A, Δ⟩ of the true aggregate, the mean over the rounds: the more, the worse for the server."""
        toward = pack(self.model, self.direction)
        crowd = self.sample.crowd
        sent_by = zip(self._messages(chosen), self.sample.who, strict=True)
        return torch.stack([(crowd.update(m, who) * toward).sum(1) for m, who in sent_by]).mean(0)

    def _messages(self, chosen: Int[Tensor, "m r"]) -> list[Float[Tensor, "r w p"]]:
        flipped = self.y.unsqueeze(1).repeat(1, chosen.shape[1])
        flipped[self.own] = chosen.to(flipped.dtype)
        crowd = self.sample.crowd
        found = []
        for rows, who in zip(self.sample.rounds, self.sample.who, strict=True):
            hostile = crowd.hostile_of(who)
            labels = self.y[rows].unsqueeze(2).repeat(1, 1, chosen.shape[1])
            labels[:hostile] = flipped[rows[:hostile]]
            found.append(sent(self.model, crowd, self.params, self.x[rows], labels, self.rate))
        return found


def against_the_rule(trial: Trial, propose: Propose) -> Int[Tensor, "m r"]:
    """The flips that move the true aggregate farthest among those tried, per replica."""
    best = propose(FRACTIONS[0])
    most = trial.harm(best)
    for fraction in FRACTIONS[1:]:
        chosen = propose(fraction)
        harm = trial.harm(chosen)
        best = torch.where(harm > most, chosen, best)
        most = torch.maximum(harm, most)
    return best


def seen(rounds: Int[Tensor, "t w b"], hostile: int, knowledge: str) -> Int[Tensor, "s w b"]:
    """The rounds on which an attacker tries its flips: the workers' own, or, where it sees none but its
    workers' data, batches of theirs in the place of the honest workers'.
    """
    sample = rounds[:SAMPLE_ROUNDS].clone()
    if knowledge != "omniscient":
        t, w, _ = rounds.shape
        for i in range(hostile, w):
            for s in range(len(sample)):
                sample[s, i] = rounds[(s + i // hostile) % t, i % hostile]
    return sample


def sent(
    model: Model, crowd: Crowd, params: Params, x: Tensor, labels: Integer[Tensor, "w b r"], rate: float
) -> Float[Tensor, "r w p"]:
    """What workers' software sends for these labels: gradients, or differences after local steps."""
    steps = crowd.federation.local_steps
    if steps == 1:
        result = gradients(model, params, x, labels)
    else:
        result = differences(model, params, x, labels, steps, rate)
    return result.transpose(0, 1)
