"""Run-off election: the two classes with the most votes meet again, and every model says which of them it prefers."""

import torch
from jaxtyping import Int
from torch import Tensor

from turncoat.voting.plurality import Election, beaten_after, lead, without


def run_off(votes: Int[Tensor, "t c"], preferred: Int[Tensor, "t c c"]) -> Election:
    """Rezaei et al. 2023 (DPA+ROE); ``preferred[:, a, b]`` models prefer a to b. Equal numbers go to the lower label.

    The winner loses in one of two ways only, each of which needs some number of changed models at least:

    1. It is not among the two: two rivals a, b have more votes. Of n changed models one that goes over to a takes at
       most 2 from the lead over a and 1 from that over b, or the other way round. So 2n is at least either lead, and
       3n at least both together.
    2. It meets a rival a and loses. Then a beats it in the second round, and has more votes in the first than the
       class that the winner met before, if a is another. A changed model does at most 2 towards each.

    The fewest models that any way needs, less one, is the radius.
    """
    first = votes.argmax(1)
    second = without(-votes, first).argmin(1)
    met = preferred[torch.arange(len(votes), device=votes.device), first, second]
    behind = preferred[torch.arange(len(votes), device=votes.device), second, first]
    stays = (met > behind) | ((met == behind) & (first < second))
    winner, loser = torch.where(stays, first, second), torch.where(stays, second, first)
    fewest = torch.minimum(_left_out(votes, winner), _beaten(votes, preferred, winner, loser))
    return Election(winner, fewest - 1)


def _left_out(votes: Int[Tensor, "t c"], winner: Int[Tensor, " t"]) -> Int[Tensor, " t"]:
    """Changed models that the first way needs; the two rivals with the smallest leads need fewest."""
    leads = without(lead(votes, winner), winner).sort(1).values
    if votes.shape[1] == 2:  # nobody can be third
        return leads[:, 1]
    smallest, next_one = leads[:, 0], leads[:, 1]
    return torch.maximum(beaten_after(next_one), (smallest + next_one + 2) // 3)


def _beaten(
    votes: Int[Tensor, "t c"],
    preferred: Int[Tensor, "t c c"],
    winner: Int[Tensor, " t"],
    loser: Int[Tensor, " t"],
) -> Int[Tensor, " t"]:
    """Changed models that the second way needs, for the rival that needs fewest."""
    index = winner.view(-1, 1, 1).expand(-1, votes.shape[1], 1)
    for_winner = preferred.gather(1, index.transpose(1, 2)).squeeze(1)
    for_rival = preferred.gather(2, index).squeeze(2)
    rivals = torch.arange(votes.shape[1], device=votes.device)
    ahead = for_winner - for_rival + (winner.unsqueeze(1) < rivals)
    to_meet = beaten_after(lead(votes, loser)).scatter(1, loser.unsqueeze(1), 0)
    return without(torch.maximum(beaten_after(ahead), to_meet), winner).amin(1)
