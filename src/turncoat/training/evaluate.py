"""How good a stack of models is on held-out data."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.direction import Params
from turncoat.losses import cross_entropy
from turncoat.metrics import accuracy, confusion, macro_f1
from turncoat.models.stack import Model


def evaluate(
    model: Model, params: Params, x: Tensor, y: Int[Tensor, " n"]
) -> tuple[Float[Tensor, " r"], Float[Tensor, " r"], Float[Tensor, " r"]]:
    """Accuracy, macro F1 and mean cross-entropy of every replica."""
    counts: Tensor | float = 0.0
    total: Tensor | float = 0.0
    for start in range(0, len(x), model.chunk):
        rows = slice(start, start + model.chunk)
        logits = model.logits(params, x[rows])
        total = total + cross_entropy(logits, y[rows]).sum(0, dtype=torch.float64)
        # max, not argmax: over a middle axis it is several times faster on the CPU
        counts = counts + confusion(logits.max(1).indices, y[rows], model.classes)
    assert isinstance(counts, Tensor) and isinstance(total, Tensor)
    return accuracy(counts), macro_f1(counts), total / len(x)


def mean_loss(model: Model, params: Params, x: Tensor, y: Int[Tensor, " n"]) -> Float[Tensor, " r"]:
    """Mean cross-entropy of every replica."""
    parts = [
        cross_entropy(model.logits(params, x[s : s + model.chunk]), y[s : s + model.chunk]).sum(0)
        for s in range(0, len(x), model.chunk)
    ]
    return torch.stack(parts).sum(0) / len(x)
