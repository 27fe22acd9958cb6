"""An attack on the voters, so that a certificate's bound is seen from above too.

It knows all that ``certify`` knows, the test labels included, and fixes its flips before training. A model that has
seen every row of one class under another label answers that other; so flips go where most test examples are lost
for them: whole classes of whole parts, the cheapest parts first, where votes are closest.
"""

import torch
from jaxtyping import Int
from torch import Tensor

from turncoat.certificates.voters import Voters
from turncoat.voting.plurality import beaten_after, lead

SURE = 0.7  # share of the models that are hit that is counted on to go over


def flipped(
    of: Voters, labels: Int[Tensor, " n"], votes: Int[Tensor, "t c"], wanted: Int[Tensor, " t"], flips: int
) -> Int[Tensor, " n"]:
    """Labels with at most ``flips`` changed, against test examples that should be answered with ``wanted``.

    Greedy: again and again the pair of classes and the number of parts with the most examples lost for each flip, some
    more than votes ask for, since not every model that is hit goes over. All flips in one part count once.
    """
    labels, votes, left = labels.clone(), votes.clone(), flips
    sizes = torch.stack([torch.bincount(labels[rows], minlength=votes.shape[1]) for rows in of.groups])
    lost = lead(votes, wanted).scatter(1, wanted.unsqueeze(1), 1).amin(1) <= 0
    while True:
        best = max((_worth(sizes, votes, wanted, lost, left, a) for a in range(votes.shape[1])), default=None)
        if best is None or best[0] <= 0:
            return labels
        _, own, rival, count = best
        for part in _cheapest(sizes[:, own])[:count].tolist():
            rows = of.groups[part]
            labels[rows[labels[rows] == own]] = rival
            left -= int(sizes[part, own])
            sizes[part, own] = 0
        hit = wanted == own
        votes[hit, own] -= count
        votes[hit, rival] += count
        lost |= lead(votes, wanted).scatter(1, wanted.unsqueeze(1), 1).amin(1) <= 0


def _worth(
    sizes: Int[Tensor, "p c"],
    votes: Int[Tensor, "t c"],
    wanted: Int[Tensor, " t"],
    lost: Tensor,
    left: int,
    own: int,
) -> tuple[float, int, int, int]:
    """The most examples of class ``own`` lost for a flip, with which rival and how many parts; 0 if none can be."""
    costs = sizes[_cheapest(sizes[:, own]), own].cumsum(0)
    costs = costs[costs <= left]
    rows = (wanted == own) & ~lost
    if not len(costs) or not rows.any():
        return 0.0, own, own, 0
    needed = beaten_after(lead(votes[rows], wanted[rows])).div(SURE, rounding_mode="floor").long() + 1
    found = (0.0, own, own, 0)
    for rival in range(votes.shape[1]):
        if rival == own:
            continue
        gained = torch.bincount(needed[:, rival].clamp(max=len(costs) + 1), minlength=len(costs) + 2).cumsum(
            0
        )
        rates = gained[1 : len(costs) + 1] / costs
        top = int(rates.argmax())
        found = max(found, (float(rates[top]), own, rival, top + 1))
    return found


def _cheapest(sizes: Int[Tensor, " p"]) -> Int[Tensor, " s"]:
    """Parts with any row of a class, those with fewest first."""
    order = sizes.argsort(stable=True)
    return order[sizes[order] > 0]
