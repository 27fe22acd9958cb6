"""What a planner wants small at the end of the training: a smooth stand-in for accuracy, on training data alone."""

import dataclasses

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.direction import Params
from turncoat.losses import at_labels
from turncoat.models.stack import Model, zeros

SHARPNESS = 6.0  # at 1 a planner flattens probabilities, and the largest stays the largest
JUDGED = 20.0  # sharpness at which plans are compared: almost the accuracy itself


@dataclasses.dataclass(frozen=True)
class Aim:
    """The mean of softmax(sharpness · z)[label] over the examples, to be made small, or large with sign -1."""

    labels: Int[Tensor, " n"]
    sign: float = 1.0
    sharpness: float = SHARPNESS


def aim_of(y: Int[Tensor, " n"], classes: int, goal: str, sharpness: float = SHARPNESS) -> Aim:
    """Untargeted: the true label's probability small; targeted: that of the next label large."""
    if goal == "targeted":
        return Aim((y + 1) % classes, -1.0, sharpness)
    return Aim(y, 1.0, sharpness)


def value(
    aim: Aim, model: Model, params: Params, x: Tensor, sharpness: float = JUDGED
) -> Float[Tensor, " r"]:
    """The objective of every replica at this sharpness."""
    total: Tensor | float = 0.0
    for start in range(0, len(x), model.chunk):
        rows = slice(start, start + model.chunk)
        total = total + _held(aim, model.logits(params, x[rows]), rows, sharpness)[0].sum(0)
    assert isinstance(total, Tensor)
    return aim.sign * total / len(x)


def slope(aim: Aim, model: Model, params: Params, x: Tensor) -> tuple[Float[Tensor, " r"], Params]:
    """The objective of every replica, and its gradient at the parameters."""
    gradient = zeros(params)
    total: Tensor | float = 0.0
    for start in range(0, len(x), model.chunk):
        rows = slice(start, start + model.chunk)
        logits, pull = model.forward(params, x[rows])
        held, shares = _held(aim, logits, rows, aim.sharpness)
        total = total + held.sum(0)
        rest = shares.neg_()
        index = at_labels(aim.labels[rows], rest)
        rest.scatter_add_(1, index, torch.ones_like(held).unsqueeze(1)).mul_(held.unsqueeze(1))
        pull(rest, gradient, aim.sign * aim.sharpness / len(x))
    assert isinstance(total, Tensor)
    return aim.sign * total / len(x), gradient


def _held(
    aim: Aim, logits: Float[Tensor, "n c r"], rows: slice, sharpness: float
) -> tuple[Float[Tensor, "n r"], Float[Tensor, "n c r"]]:
    shares = (sharpness * logits).softmax(1)
    return shares.gather(1, at_labels(aim.labels[rows], shares)).squeeze(1), shares
