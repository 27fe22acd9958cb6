"""The loss of one's own loop, as the attack needs it: what each label is worth, and what the mean divides by.

Every loss here is L(y) = Σ_i ℓ(z_i, y_i) / D(y) over all given rows. D is their number for a plain mean and 1 for a
sum. The mean of ``nn.CrossEntropyLoss(weight=w)`` divides by Σ_i w[y_i], which moves when labels flip.
"""

import dataclasses
import math
import warnings
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor, nn
from torch.func import grad, vmap

from turncoat.errors import TurncoatError, reason

Loss = Callable[[Tensor, Tensor], Tensor]

PROBED = 64  # classes on which a loss of one's own is tried
ONE = "it is called as loss(logits of shape (c,), label) and must give one number for one example"


@dataclasses.dataclass(frozen=True, eq=False)
class Criterion:
    """One example's loss ℓ through its slopes and scores, and the divisor D."""

    slopes: Callable[[Tensor, Tensor], Tensor]  # ∂ℓ/∂z(z_i, y_i): logits (n, c), labels (n,) → (n, c)
    scores: Callable[[Tensor, Tensor], Tensor]  # -⟨∂ℓ/∂z(z_i, c), J_i Δ⟩: logits, J_i Δ → (n, c)
    mass: Float[Tensor, " c"] | None = None  # what a label adds to D, where labels differ in that
    summed: bool = False  # D = 1
    ignored: int | None = None  # rows of this label are no part of L

    def counted(self, labels: Integer[Tensor, " n"]) -> Int[Tensor, " m"]:
        """The rows that are part of L."""
        rows = torch.arange(len(labels), device=labels.device)
        return rows if self.ignored is None else rows[labels != self.ignored]

    def divisor(self, labels: Integer[Tensor, " n"]) -> float:
        """D of these labels.

        Raises:
            TurncoatError: if it is 0, where the mean is no number.
        """
        rows = self.counted(labels)
        if self.summed:
            return 1.0
        total = float(len(rows) if self.mass is None else self.mass[labels[rows].long()].double().sum())
        if total <= 0:
            raise TurncoatError(
                "the weights of the labels sum to 0, so the loss's mean is 0/0: give every class a weight above 0,"
                " or fewer flips"
            )
        return total


def of_one_example(loss: Loss, classes: int, like: Tensor) -> Criterion:
    """A loss of one's own, ``loss(logits (c,), label) -> scalar``; L is its mean over the examples.

    Raises:
        TurncoatError: if its mean divides by more than their number, as far as it can be told.
    """
    _refuse_normalised(loss, classes, like)
    return Criterion(
        slopes=partial(_own_slopes, loss),
        scores=partial(loss_scores, loss=loss),
        summed=isinstance(loss, nn.modules.loss._Loss) and loss.reduction == "sum",
    )


def loss_scores(
    logits: Float[Tensor, "n c"], tangent: Float[Tensor, "n c"], loss: Loss
) -> Float[Tensor, "n c"]:
    """Scores -⟨∂ℓ/∂z(z_i, c), J_i Δ⟩ of any per-example loss.

    Raises:
        TurncoatError: if the loss does not give one number for one example's logits and label.
    """
    columns = [(_slopes(loss, logits, label) * tangent).sum(1) for label in range(logits.shape[1])]
    return -torch.stack(columns, 1)


def _own_slopes(loss: Loss, logits: Float[Tensor, "n c"], labels: Tensor) -> Float[Tensor, "n c"]:
    result = torch.empty_like(logits)
    for label in labels.unique().tolist():
        result[labels == label] = _slopes(loss, logits[labels == label], label)
    return result


def _slopes(loss: Loss, logits: Float[Tensor, "n c"], label: int) -> Float[Tensor, "n c"]:
    """∂ℓ/∂z(z_i, label) of every example."""
    own = torch.tensor(label, device=logits.device)  # a plain tensor, so that a loss may index with it
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop")  # losses that torch maps in a loop
        result: Tensor = vmap(grad(lambda z: _one(loss, z, own)))(logits)
    return result


def _one(loss: Loss, z: Float[Tensor, " c"], label: Tensor) -> Float[Tensor, ""]:
    """The loss of one example.

    Raises:
        TurncoatError: if ``loss`` does not give one number for it.
    """
    try:
        value = loss(z, label)
    except Exception as error:
        raise TurncoatError(f"the loss failed on one example ({reason(error)}): {ONE}") from error
    if not isinstance(value, Tensor) or value.ndim != 0:
        came = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise TurncoatError(f"the loss gives {came}: {ONE}")
    return value


def _refuse_normalised(loss: Loss, classes: int, like: Tensor) -> None:
    """Refuse a mean that divides by its labels' weights: in the loss of a single example they cancel.

    Such a loss takes batches. Where all labels are alike it agrees with the mean of the single losses, elsewhere
    it doesn't; a loss that takes no batch disagrees in both, or fails.
    """
    count = min(classes, PROBED)
    angle = torch.arange(count * classes, device=like.device, dtype=torch.float64).view(count, classes)
    label = torch.arange(count, device=like.device)
    # as many digits as the loss takes: its own weights may be of one type alone
    for dtype in dict.fromkeys((torch.float64, torch.float32, like.dtype)):
        logits = angle.sin().softmax(1).to(dtype)  # may be probabilities as well
        mixed, alike = _together(loss, logits, label), _together(loss, logits, torch.zeros_like(label))
        if mixed is None or alike is None:
            continue
        apart = [float(_one(loss, z, c)) for z, c in zip(logits, label, strict=True)]
        ones = [float(_one(loss, z, label[0])) for z in logits]
        undefined = any(math.isnan(value) for value in apart)  # 0/0 where a class weighs nothing
        if undefined or (_close(alike, sum(ones) / count) and not _close(mixed, sum(apart) / count)):
            raise TurncoatError(
                "the loss of a batch is not the mean of its examples' losses: it divides by the labels' weights,"
                " which cancel in one example; give nn.CrossEntropyLoss(weight=...) itself, or a loss of one"
                " example that divides by nothing (reduction='none')"
            )
        return


def _together(loss: Loss, logits: Tensor, labels: Tensor) -> float | None:
    """The loss of a batch, if it takes one and gives one number."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = loss(logits, labels)
        return float(value) if isinstance(value, Tensor) and value.ndim == 0 else None
    except Exception:  # a loss of one example need not take a batch
        return None


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-4 * max(abs(a), abs(b))
