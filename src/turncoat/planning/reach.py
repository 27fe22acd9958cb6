"""What a planner may hold: soft labels within the attacker's reach.

A soft label q_i has flipped mass f_i = 1 - q_i[y_i]. Over many rounds an attacker whose write access is drawn anew
reaches exactly f_i ≤ k for every example and Σ f_i ≤ k·b·n; one with a fixed K reaches f_i ≤ 1 on K, 0 elsewhere.
"""

import dataclasses

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.losses import at_labels

HALVINGS = 50  # of the interval in which the price of a flip lies


@dataclasses.dataclass(frozen=True)
class Reach:
    """``limit`` on each example's flipped mass, (n, r) or (1, r), and on the ``mass`` of all, per replica.

    Where rows belong to several workers, each with a budget of its own, ``blocks`` says which rows are whose, one
    after the other, and ``mass`` has a row for each.
    """

    limit: Float[Tensor, "_ r"]
    mass: Float[Tensor, "*blocks r"]
    blocks: tuple[tuple[int, int], ...] = ()

    @property
    def total(self) -> Float[Tensor, " r"]:
        """The mass of all rows together."""
        return self.mass.sum(0) if self.blocks else self.mass

    def none(self) -> "Reach":
        """The same replicas while they flip nothing."""
        return Reach(torch.zeros_like(self.limit), torch.zeros_like(self.mass), self.blocks)

    def times(self, count: int) -> "Reach":
        """The same reach for several stacks of these replicas, one after the other."""
        return Reach(
            self.limit.repeat(1, count), self.mass.repeat(*[1] * (self.mass.ndim - 1), count), self.blocks
        )

    def each(self, rows: int) -> list[tuple[slice, "Reach"]]:
        """The rows of every budget, and what may be held on them."""
        if not self.blocks:
            return [(slice(0, rows), self)]
        return [
            (slice(*block), Reach(self.limit if len(self.limit) == 1 else self.limit[slice(*block)], mass))
            for block, mass in zip(self.blocks, self.mass, strict=True)
        ]


def soft_labels(reach: Reach, worth: Float[Tensor, "n c r"], y: Int[Tensor, " n"]) -> Float[Tensor, "n c r"]:
    """The soft labels within reach that minimise ⟨q, worth⟩ less their entropy.

    Without limits they are softmax(-worth). A price on every flip, the same for all examples of a replica, keeps the
    sum within the mass, and what is above an example's limit is cut: the conditions of Karush, Kuhn and Tucker.
    """
    index = at_labels(y, worth)
    others = (-worth).scatter(1, index, -torch.inf)
    odds = others.logsumexp(1)
    gain = odds + worth.gather(1, index).squeeze(1)  # log-odds of being flipped at no price
    flipped = torch.cat([_priced(own, gain[rows]) for rows, own in reach.each(len(y))])
    result = (others - odds.unsqueeze(1)).exp_().mul_(flipped.unsqueeze(1))
    return result.scatter_(1, index, (1 - flipped).unsqueeze(1))


def _priced(reach: Reach, gain: Float[Tensor, "n r"]) -> Float[Tensor, "n r"]:
    """Each example's flipped mass at the lowest price that keeps the sum within reach."""

    def at(price: Float[Tensor, " r"]) -> Float[Tensor, "n r"]:
        return torch.minimum((gain - price).sigmoid(), reach.limit)

    def too_much(price: Float[Tensor, " r"]) -> Tensor:
        return at(price).sum(0, dtype=torch.float64) > reach.mass

    low = torch.zeros_like(gain[0])
    # beyond this price all flips together weigh less than any mass above 0
    high = (gain.amax(0) + 40).clamp(min=0)
    high = torch.where(too_much(low), high, low)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = too_much(middle)
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return at(high) * (reach.mass > 0)
