"""Spending flips on a loss whose mean may divide by the labels' weights, and what it comes to.

The objective is N(y)/D(y): a sum over the examples of one score per label over a sum of one weight per label. For a
given value v, N - v·D is a sum over the examples again, so its minimum under the budget is the ordinary selection with
the scores S[i, c] - v·w_c. Repeating it with the value it reached ends at the minimum of the ratio itself
(Dinkelbach 1967).
"""

import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

from turncoat.attack.proposals import propose_optimal
from turncoat.attack.selection import OwnSelection, Selection, flip_labels
from turncoat.models.criterion import Criterion


def spend(
    rule: "OwnSelection | Selection",
    scores: Float[Tensor, "n c"],
    y: Integer[Tensor, " n"],
    members: Int[Tensor, " m"],
    flips: int,
    generator: torch.Generator,
    loss: Criterion,
) -> Integer[Tensor, " n"]:
    """Labels after ``rule`` spent at most ``flips`` on ``members`` (the attacker's K).

    Where the mean divides by weights, a rule that takes the lowest scores ends at the exact minimum; others see the
    scores at the value of the given labels, once.
    """
    weights = _weights(rule, loss)
    if weights is None:
        return flip_labels(rule, scores, y, members, flips, generator)
    value, best = ratio(scores, y, loss), y
    repeats = isinstance(rule, Selection) and rule.propose is propose_optimal
    while True:
        labels = flip_labels(rule, scores - value * weights, y, members, flips, generator)
        reached = ratio(scores, labels, loss)
        if not repeats:
            return labels
        if reached >= value:
            return best
        value, best = reached, labels


def ratio(scores: Float[Tensor, "n c"], labels: Integer[Tensor, " n"], loss: Criterion) -> float:
    """N/D of these labels.

    Raises:
        TurncoatError: if D is 0.
    """
    return float(_of(scores, labels, loss).sum()) / loss.divisor(labels)


def judged(
    worth: Float[Tensor, "n c"], y: Integer[Tensor, " n"], labels: Integer[Tensor, " n"], loss: Criterion
) -> tuple[float, float, Float[Tensor, " p"]]:
    """The objective before and after, and what each flip alone adds to it."""
    changed = (labels != y).nonzero().squeeze(1)
    old, new = _of(worth[changed], y[changed], None), _of(worth[changed], labels[changed], None)
    total, divisor = float(_of(worth, y, loss).sum()), loss.divisor(y)
    heavier: Tensor | float = 0.0
    if loss.mass is not None:
        heavier = (loss.mass[labels[changed].long()] - loss.mass[y[changed].long()]).double()
    gain = (total + new - old) / (divisor + heavier) - total / divisor
    return total / divisor, ratio(worth, labels, loss), gain.to(worth.dtype)


def _weights(rule: "OwnSelection | Selection", loss: Criterion) -> Float[Tensor, " c"] | None:
    reads_scores = not isinstance(rule, Selection) or rule.needs in ("scores", "centred", "last_layer")
    return loss.mass if reads_scores else None


def _of(
    scores: Float[Tensor, "n c"], labels: Integer[Tensor, " n"], loss: Criterion | None
) -> Float[Tensor, " m"]:
    """Each row's score of its label, for the rows that are part of the loss."""
    rows = torch.arange(len(labels), device=labels.device) if loss is None else loss.counted(labels)
    return scores[rows].gather(1, labels[rows].long().unsqueeze(1)).squeeze(1).double()
