"""What counts of a round's labels and of a mini-batch, where a learner does not trust all alike."""

import dataclasses
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor

from turncoat.defences import gold, trimmed
from turncoat.direction import Params
from turncoat.models.learned import residuals
from turncoat.models.stack import Model, Pullback

Filter = Callable[[Tensor], Tensor]
"""``filter(labels (n, r)) -> kept (n, r)``: which labels of a round are used, per replica."""


@dataclasses.dataclass(frozen=True)
class Guard:
    """Filters of a round, the share of largest losses that a batch leaves out, and rows of known labels."""

    filters: tuple[Filter, ...] = ()
    trimmed: float = 0.0
    gold: Int[Tensor, " m"] | None = None
    alone: bool = False  # nothing but gold rows is trained on

    def repaired(
        self, labels: Integer[Tensor, "n r"], y: Int[Tensor, " n"], rows: Int[Tensor, " n"] | None = None
    ) -> Integer[Tensor, "n r"]:
        """The labels of all rows, or of these, with those put right that are known."""
        if self.gold is None:
            return labels
        known = torch.isin(rows, self.gold) if rows is not None else _among(self.gold, len(y))
        return torch.where(known.unsqueeze(1), y.unsqueeze(1).to(labels.dtype), labels)

    def counted(self, labels: Integer[Tensor, "n r"]) -> Bool[Tensor, "n r"] | None:
        """Which labels of a round are used; None where all are."""
        if not self.filters:
            return None
        kept = torch.ones_like(labels, dtype=torch.bool)
        for one in self.filters:
            kept &= one(labels)
        if self.gold is not None:
            kept[self.gold] = True
        return kept

    def gradient(
        self,
        model: Model,
        params: Params,
        x: Tensor,
        labels: Integer[Tensor, "b r"],
        counted: Bool[Tensor, "b r"] | None,
        known: tuple[Tensor, Int[Tensor, " g"]] | None,
    ) -> tuple[Float[Tensor, "m c r"], Pullback]:
        """Residuals of a batch, the gold rows ``known`` behind it, that sum up to the gradient; and their pullback.

        Every part is a mean: over what counts of the batch, and over the gold rows.
        """
        b = len(x)
        if known is not None:
            own = known[1].unsqueeze(1).expand(-1, labels.shape[1]).to(labels.dtype)
            x = known[0] if self.alone else torch.cat([x, known[0]])
            labels = own if self.alone else torch.cat([labels, own])
            b = 0 if self.alone else b
        logits, pull = model.forward(params, x)
        rest = residuals(model, params, x, logits, labels)
        share = 1.0
        if known is not None:
            share = 0.0 if self.alone else 1 - gold.SHARE
            rest[b:].mul_((1 - share) / (len(x) - b))
        if b:
            tangent = None
            if known is not None:
                tangent = model.scores(params, x[:b], gold.toward(model, params, x[b:], rest[b:]))
            weights = self.weights(logits[:b], labels[:b], rest[:b], counted, tangent, share)
            rest[:b].mul_(weights.unsqueeze(1))
        return rest, pull

    def weights(
        self,
        logits: Float[Tensor, "b c r"],
        labels: Integer[Tensor, "b r"],
        rest: Float[Tensor, "b c r"],
        counted: Bool[Tensor, "b r"] | None,
        tangent: Float[Tensor, "b c r"] | None,
        share: float,
    ) -> Float[Tensor, "b r"]:
        """What rows with these residuals count, ``share`` in all; ``tangent``: of their logits along gold rows."""
        weights = torch.ones_like(rest[:, 0]) if counted is None else counted.to(rest.dtype)
        if self.trimmed:
            weights = weights * trimmed.kept(logits, labels, weights, self.trimmed)
        if tangent is not None:
            weights = weights * gold.agreement(rest, tangent)
        return weights * (share / weights.sum(0).clamp(min=torch.finfo(rest.dtype).tiny))


def _among(some: Int[Tensor, " m"], n: int) -> Bool[Tensor, " n"]:
    found = torch.zeros(n, dtype=torch.bool, device=some.device)
    found[some] = True
    return found
