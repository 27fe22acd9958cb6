"""Finite Aggregation: every part of the rows is read by several models, so that a vote rests on more of them."""

import torch
from jaxtyping import Int, Integer
from torch import Tensor

from turncoat.voting.plurality import Election, counts, lead, without

ROWS = 256  # examples that are counted at once


def finite_aggregation(first: Integer[Tensor, "t m"], readers: Int[Tensor, "p d"], classes: int) -> Election:
    """Wang et al. 2022, Theorem 2, with this module's rule for ties: ``readers`` are the models that read each part.

    A flip in part p changes its readers alone. A changed reader takes from the lead over a rival at most 2 where it
    voted for the winner, 1 where for a third, 0 where for the rival already. Flips in several parts take at most the
    sum of what each takes by itself, and a second flip in a part takes nothing more, so the worst r flips take at
    most the r largest sums. The radius is the largest r for which, whichever the rival, these leave a lead.
    """
    votes = counts(first, classes)
    prediction = votes.argmax(1)
    leads = without(lead(votes, prediction), prediction)
    # what all models of a part can take at most bounds a radius from below: rivals far behind need no closer look
    at_least = (leads - 1) // (2 * readers.shape[1])
    radius = torch.full_like(prediction, len(readers))
    for place in range(1, classes):
        near = leads.kthvalue(place, 1)
        rows = (at_least.gather(1, near.indices.unsqueeze(1)).squeeze(1) < radius).nonzero().squeeze(1)
        for few in rows.split(ROWS):
            own = _lasting(first[few], readers, prediction[few], near.indices[few], near.values[few])
            radius[few] = torch.minimum(radius[few], own)
    return Election(prediction, radius)


def _lasting(
    first: Integer[Tensor, "t m"],
    readers: Int[Tensor, "p d"],
    winner: Int[Tensor, " t"],
    rival: Int[Tensor, " t"],
    lead: Int[Tensor, " t"],
) -> Int[Tensor, " t"]:
    """The most parts whose largest damages together leave a lead over one rival."""
    taken = 1 + (first == winner.unsqueeze(1)).to(torch.int16) - (first == rival.unsqueeze(1)).to(torch.int16)
    damage = torch.stack([taken[:, models] for models in readers.T]).sum(0, dtype=torch.int16)
    worst = damage.sort(1, descending=True).values.cumsum(1, dtype=torch.int32)
    return (worst < lead.unsqueeze(1)).sum(1)
