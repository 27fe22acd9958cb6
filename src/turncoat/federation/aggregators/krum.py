"""Rules that choose messages by the distance to their nearest neighbours."""

import torch
from jaxtyping import Float
from torch import Tensor

from turncoat.federation.aggregators.contract import Limit, batched
from turncoat.federation.aggregators.gram import combine, geometry, of_each, squared_distances
from turncoat.federation.aggregators.order import mean_of_nearest

BLANCHARD = "Blanchard et al. 2017, Proposition 4.2"


def scores(distances: Float[Tensor, "r w w"], f: int) -> Float[Tensor, "r w"]:
    """Krum's score: the sum of the squared distances to the w - f - 2 nearest other messages.

    Source: Blanchard et al. 2017, "Machine learning with adversaries", section 4.
    """
    others = distances.clone()
    others.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    return others.topk(distances.shape[-1] - f - 2, largest=False, sorted=False).values.sum(-1)


@batched(Limit("krum", 2, 2, BLANCHARD))
def krum(messages: Float[Tensor, "r w p"], f: int) -> Float[Tensor, "r p"]:
    """The one message with the smallest score; of equal ones, the first worker's.

    Raises:
        TurncoatError: if 2f + 2 >= w.

    Source: Blanchard et al. 2017, "Machine learning with adversaries", section 4.
    """
    best = scores(squared_distances(geometry(messages)), f).argmin(-1)
    return of_each(messages, best)


@batched(Limit("multi_krum", 2, 2, BLANCHARD))
def multi_krum(messages: Float[Tensor, "r w p"], f: int) -> Float[Tensor, "r p"]:
    """Mean of the w - f messages with the smallest scores.

    The paper leaves the number of messages open; w - f is the most that can all be honest.

    Raises:
        TurncoatError: if 2f + 2 >= w.

    Source: Blanchard et al. 2017, "Machine learning with adversaries", section 4 (Multi-Krum).
    """
    space = geometry(messages)
    keep = messages.shape[1] - f
    best = scores(squared_distances(space), f).topk(keep, largest=False).indices
    weights = messages.new_zeros(messages.shape[:2]).scatter(-1, best, 1 / keep)
    return combine(weights[:, None], messages, space.broken)[:, 0]


@batched(Limit("bulyan", 4, 2, "El Mhamdi et al. 2018: w >= 4f + 3"))
def bulyan(messages: Float[Tensor, "r w p"], f: int) -> Float[Tensor, "r p"]:
    """Choose w - 2f messages by Krum, one after another, then average the w - 4f values nearest to their median.

    Each choice runs Krum on what is left, with at least one neighbour. Of equal scores the first worker's wins,
    so for f <= 2, where the last choice scores by one neighbour, the order of the workers can matter.

    Raises:
        TurncoatError: if 4f + 3 > w.

    Source: El Mhamdi et al. 2018, "The hidden vulnerability of distributed learning in Byzantium", section 4.
    """
    count = messages.shape[1] - 2 * f
    chosen = _choose_in_turn(squared_distances(geometry(messages)), f, count)
    replicas = torch.arange(len(messages), device=messages.device)[:, None]
    return mean_of_nearest(messages[replicas, chosen], count - 2 * f)


def _choose_in_turn(distances: Tensor, f: int, count: int) -> Tensor:
    # Distances are sorted once; a round only recounts which of the sorted neighbours are still there.
    r, w, _ = distances.shape
    distances.diagonal(dim1=1, dim2=2).fill_(-1)  # itself first, so that it can be cut off
    ordered, neighbours = (part[..., 1:] for part in distances.sort(-1))
    there = distances.new_ones(r, w, dtype=torch.bool)
    chosen = []
    for left in range(w, w - count, -1):
        nearest = min(max(left - f - 2, 1), left - 1)
        alive = there[:, None].expand(r, w, w).gather(-1, neighbours)
        counted = alive & (alive.cumsum(-1) <= nearest)
        sums = torch.where(counted, ordered, 0).sum(-1)
        best = sums.masked_fill(~there, torch.inf).argmin(-1, keepdim=True)
        there = there.scatter(-1, best, False)
        chosen.append(best)
    return torch.cat(chosen, -1)
