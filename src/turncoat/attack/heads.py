"""How a module's output and its labels read as decisions between classes.

Most modules give a row of class logits and make one decision an example. A head with one logit decides between 0 and
1; a multi-label head does so for each of its labels, and each is a label that can be flipped.
"""

import dataclasses

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from turncoat.errors import TurncoatError
from turncoat.models.scores import check_logits

INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


@dataclasses.dataclass(frozen=True)
class Head:
    """``binary``: the output is one logit a decision, that of label 1."""

    decisions: int
    binary: bool

    def logits(self, output: Tensor) -> Float[Tensor, "k c"]:
        """One row of class logits a decision, example by example."""
        if not self.binary:
            return output
        positive = output.reshape(-1)
        return torch.stack([torch.zeros_like(positive), positive], 1)

    def labels(self, y: Tensor, n: int) -> Int[Tensor, " k"]:
        """One class a decision.

        Raises:
            TurncoatError: if shape, type or values are not those of labels.
        """
        if self.binary:
            return self._zeros_and_ones(y, n)
        if y.shape != (n,) or y.dtype not in INTEGERS:
            raise TurncoatError(
                f"labels are {tuple(y.shape)} {y.dtype} for {n} examples, but must be ({n},) and integer"
            )
        return y.long()

    def _zeros_and_ones(self, y: Tensor, n: int) -> Int[Tensor, " k"]:
        wanted = [(n,), (n, 1)] if self.decisions == 1 else [(n, self.decisions)]
        if tuple(y.shape) not in wanted:
            raise TurncoatError(
                f"labels are {tuple(y.shape)} for {n} examples of {self.decisions} binary labels, but must be"
                f" {wanted[0]}"
            )
        if not bool(((y == 0) | (y == 1)).all()):
            raise TurncoatError(
                f"labels run from {float(y.min()):g} to {float(y.max()):g}, but must be 0 or 1 each"
            )
        return y.reshape(-1).long()

    def of(self, rows: Int[Tensor, " b"]) -> Int[Tensor, " d"]:
        """The decisions of some examples."""
        own = torch.arange(self.decisions, device=rows.device)
        return (rows.unsqueeze(1) * self.decisions + own).reshape(-1)


def head(loss: object, output: Tensor, n: int) -> Head:
    """The head of a module with this output for ``n`` examples.

    Raises:
        TurncoatError: if the output is not one the loss can be of.
    """
    if isinstance(loss, nn.BCEWithLogitsLoss):
        if output.ndim not in (1, 2) or len(output) != n or not output.numel():
            raise TurncoatError(
                f"the model's output has shape {tuple(output.shape)} for {n} examples, but must be (n,), (n, 1) or"
                " (n, labels) for nn.BCEWithLogitsLoss"
            )
        return Head(1 if output.ndim == 1 else output.shape[1], binary=True)
    check_logits(output, n)
    if output.shape[1] == 1:
        raise TurncoatError(
            "the module gives one logit an example, so cross-entropy is 0: give loss=nn.BCEWithLogitsLoss() for"
            " labels 0 and 1"
        )
    return Head(1, binary=False)
