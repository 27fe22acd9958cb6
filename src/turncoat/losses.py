"""Losses over stacked logits: their residuals (the gradients at the logits), and cross-entropy's value."""

import dataclasses
from collections.abc import Callable

import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Loss:
    """A loss ℓ(z, y) whose gradient at the logits is w(p_y)·(p - target(y)), with p the softmax of z.

    ``weight`` is w of each label's own probability (1 where there is none), and ``smoothing`` the share of the uniform
    distribution in the target. ``clip`` is the norm that the gradient of one example is cut to.
    """

    weight: Callable[[Tensor], Tensor] | None = None
    smoothing: float = 0.0
    clip: float | None = None

    @property
    def plain(self) -> bool:
        """Whether it is cross-entropy of the labels as they are."""
        return self.weight is None and not self.smoothing and self.clip is None


CROSS_ENTROPY = Loss()


def residual(logits: Float[Tensor, "n c r"], labels: Integer[Tensor, "n r"]) -> Float[Tensor, "n c r"]:
    """∂ℓ_i/∂z = softmax(z) - onehot(y) of every example and replica."""
    return without(logits.softmax(1), labels)


def without(shares: Float[Tensor, "n c r"], labels: Integer[Tensor, "n r"]) -> Float[Tensor, "n c r"]:
    """softmax(z) - onehot(y) where the softmax is known, in its place."""
    minus = shares.new_full((1, 1, 1), -1.0).expand(len(labels), 1, labels.shape[1])
    return shares.scatter_add_(1, labels.long().unsqueeze(1), minus)


def swap(
    old: Integer[Tensor, "n r"], new: Integer[Tensor, "n r"], classes: int, dtype: torch.dtype
) -> Float[Tensor, "n c r"]:
    """What relabelling adds to the residual: onehot(old) - onehot(new)."""
    n, replicas = old.shape
    result = torch.zeros(n, classes, replicas, dtype=dtype, device=old.device)
    one = result.new_ones(1, 1, 1).expand(n, 1, replicas)
    result.scatter_add_(1, old.long().unsqueeze(1), one)
    return result.scatter_add_(1, new.long().unsqueeze(1), -one)


def at_labels(labels: Int[Tensor, " n"], like: Float[Tensor, "n c r"]) -> Int[Tensor, "n 1 r"]:
    """Where each row's label stands among the classes of a stack, to gather from or to scatter to."""
    return labels.view(-1, 1, 1).expand(-1, 1, like.shape[2])


def cross_entropy(logits: Float[Tensor, "n c r"], labels: Int[Tensor, " n"]) -> Float[Tensor, "n r"]:
    """-log softmax(z)_y of every example and replica."""
    index = at_labels(labels, logits)
    return logits.logsumexp(1) - logits.gather(1, index).squeeze(1)


def through_softmax(
    shares: Float[Tensor, "n c r"], tangent: Float[Tensor, "n c r"]
) -> Float[Tensor, "n c r"]:
    """(diag(p) - p pᵀ) v: how the softmax p moves when its logits move along v."""
    weighed = shares * tangent
    return weighed.sub_(shares * weighed.sum(1, keepdim=True))
