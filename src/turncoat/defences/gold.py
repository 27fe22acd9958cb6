"""Labels that are known to be right: rows count by how well their gradients agree with those of the gold rows.

After learning to reweight (Ren et al. 2018): a row's weight is ⟨g_i, g⟩ with its own gradient g_i and the gold rows'
mean gradient g, or 0 where they point apart; the product is a label score along g, so no gradient is ever stored.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.direction import Params
from turncoat.models.stack import Model, zeros
from turncoat.randomness import generator

SHARE = 0.3  # of a step that the gold rows themselves make up
BATCH = 256  # gold rows in a step at most


def rows(n: int, count: int, seed: int) -> Int[Tensor, " m"]:
    """Which rows are checked by hand: drawn at random, without a look at their labels."""
    return torch.randperm(n, generator=generator(seed, "gold"))[:count]


def batch(own: Int[Tensor, " m"], seed: int, step: int) -> Int[Tensor, " g"]:
    """The gold rows of a step."""
    if len(own) <= BATCH:
        return own
    drawn = torch.randperm(len(own), generator=generator(seed, "gold batch", step))[:BATCH]
    return own[drawn.to(own.device)]


def toward(model: Model, params: Params, x: Tensor, rest: Float[Tensor, "g c r"]) -> Params:
    """g: the sum of the gold rows' residuals pulled back."""
    total = zeros(params)
    model.pullback(params, x)(rest, total, 1.0)
    return total


def agreement(rest: Float[Tensor, "b c r"], tangent: Float[Tensor, "b c r"]) -> Float[Tensor, "b r"]:
    """max(0, ⟨g_i, g⟩) of rows with these residuals, whose logits move by ``tangent`` along g."""
    return (rest * tangent).sum(1).clamp(min=0)
