"""What each rule proposes: a label and a priority per example; the lowest priorities are served first."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

Proposal = tuple[Tensor, Tensor]  # labels (n, *r), priority (n, *r)


def propose_optimal(
    scores: Float[Tensor, "n c *r"], labels: Int[Tensor, "n *r"], generator: torch.Generator
) -> Proposal:
    """The label of the lowest score, first where it gains most; an example with nothing to gain is never flipped."""
    lowest, best = scores.min(1)
    gain = lowest - scores.gather(1, labels.long().unsqueeze(1)).squeeze(1)
    return best, gain.masked_fill_(gain >= 0, torch.inf)


def propose_as_printed(
    scores: Float[Tensor, "n c *r"], labels: Int[Tensor, "n *r"], generator: torch.Generator
) -> Proposal:
    """Algorithms 1 and 3 as printed: the p smallest s_i (binary) or Z_min (multi-class), whatever their labels.

    Not optimal under the budget: an example that already carries the wanted label uses budget up.
    """
    if scores.shape[1] == 2:
        difference = scores[:, 1] - scores[:, 0]
        return (difference < 0).long(), difference
    lowest, best = scores.min(1)
    return best, lowest


def propose_random(
    scores: Float[Tensor, "n c *r"], labels: Int[Tensor, "n *r"], generator: torch.Generator
) -> Proposal:
    """Random examples, each with a uniformly drawn other label; one draw serves all trailing axes."""
    n, classes = scores.shape[:2]
    # both numbers of a row are drawn together: the first rows draw the same, however many come after them
    draw = torch.rand(n, 2, generator=generator, dtype=torch.float64).to(scores.device)
    shift = 1 + (draw[:, 1] * (classes - 1)).long()
    return (labels + _column(shift, labels)) % classes, _column(draw[:, 0], labels)


def propose_cyclic(
    scores: Float[Tensor, "n c *r"], labels: Int[Tensor, "n *r"], generator: torch.Generator
) -> Proposal:
    """Random examples, each with the next label: y → (y + 1) mod C."""
    priority = torch.rand(len(scores), generator=generator).to(scores.device)
    return (labels + 1) % scores.shape[1], _column(priority, labels)


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *(1,) * (like.ndim - 1)).expand_as(like)
