"""One vote for each model, and the most votes win; of equally many, the lower label."""

from typing import NamedTuple

import torch
from jaxtyping import Int, Integer
from torch import Tensor


class Election(NamedTuple):
    """For every example who wins, and how many flips, placed anywhere, leave that as it is."""

    prediction: Int[Tensor, " t"]
    radius: Int[Tensor, " t"]


def counts(first: Integer[Tensor, "t m"], classes: int) -> Int[Tensor, "t c"]:
    """Votes of every class."""
    found = torch.zeros(len(first), classes, dtype=torch.int64, device=first.device)
    return found.scatter_add_(
        1, first.long(), torch.ones((), dtype=torch.int64).expand(first.shape).to(found.device)
    )


def lead(votes: Int[Tensor, "t c"], of: Int[Tensor, " t"]) -> Int[Tensor, "t c"]:
    """Votes by which ``of`` leads each class, and one more where it wins a tie: above 0, it wins."""
    rivals = torch.arange(votes.shape[1], device=votes.device)
    return votes.gather(1, of.unsqueeze(1)) - votes + (of.unsqueeze(1) < rivals)


def beaten_after(lead: Int[Tensor, "*s"]) -> Int[Tensor, "*s"]:
    """Models that must change to end a lead: each takes at most 2 from it. A lead of 0 or less is none."""
    return (lead.clamp(min=0) + 1) // 2


def without(values: Int[Tensor, "t c"], excluded: Int[Tensor, " t"]) -> Int[Tensor, "t c"]:
    """The values, with one of each row so large that it is never the smallest."""
    return values.scatter(1, excluded.unsqueeze(1), torch.iinfo(torch.int64).max // 4)


def plurality(first: Integer[Tensor, "t m"], classes: int) -> Election:
    """Deep Partition Aggregation (Levine and Feizi 2021), every model on a part of its own.

    A flip changes one part, so one model, which can take one vote from the winner and give it to a rival. The lead
    over each rival falls by at most 2, so a lead l (counting the tie) lasts for ⌈l / 2⌉ - 1 changed models; and
    since as many models voted for the winner, ⌈l / 2⌉ that all go over to the rival do end it: no larger radius
    holds for all models.
    """
    votes = counts(first, classes)
    prediction = votes.argmax(1)
    return Election(prediction, without(beaten_after(lead(votes, prediction)), prediction).amin(1) - 1)
