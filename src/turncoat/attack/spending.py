"""A budget of flips on proposals, cheapest first, and the one judge of what any selection has made of it."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat import errors

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def spend(
    proposed: Int[Tensor, " n"], priority: Float[Tensor, " n"], labels: Int[Tensor, " n"], flips: int
) -> Int[Tensor, " n"]:
    """Give the ``flips`` examples of lowest priority their proposed label; an infinite priority is never served.

    A selection by partition (quickselect), not a sort.
    """
    result = labels.clone()
    if flips <= 0:
        return result
    lowest, chosen = priority.topk(min(flips, len(priority)), largest=False, sorted=False)
    result[chosen] = torch.where(torch.isfinite(lowest), proposed[chosen], result[chosen])
    return result


def spend_each(
    proposed: Int[Tensor, "n r"],
    priority: Float[Tensor, "n r"],
    labels: Int[Tensor, " n"],
    sizes: Int[Tensor, " r"],
    flips: Int[Tensor, " r"],
) -> Int[Tensor, "n r"]:
    """``spend`` for every replica at once, each on its first ``sizes[j]`` rows: one selection for few rows."""
    result = labels.unsqueeze(1).expand(-1, len(sizes)).clone(memory_format=torch.contiguous_format)
    others = torch.arange(len(labels), device=labels.device).unsqueeze(1) >= sizes
    priority, proposed = priority.masked_fill(others, torch.inf), proposed.to(result.dtype)
    most = min(int(flips.max()), len(labels))
    if bool((flips >= sizes).all()):  # nothing to choose
        return torch.where(torch.isfinite(priority), proposed, result)
    lowest, chosen = priority.T.topk(most, largest=False)
    served = torch.isfinite(lowest) & (torch.arange(most, device=labels.device) < flips.unsqueeze(1))
    chosen = chosen.T
    new = torch.where(served.T, proposed.gather(0, chosen), labels[chosen])
    return result.scatter_(0, chosen, new)


def check_spent(
    new: object, old: Int[Tensor, "m *r"], flips: Int[Tensor, "*r"], classes: int
) -> Int[Tensor, "m *r"]:
    """The one place that judges a selection's result, whoever wrote it.

    Raises:
        TurncoatError: if it is not one integer label per example, a label is no class, or more labels changed
            than the budget allows.
    """
    if not isinstance(new, Tensor) or new.shape != old.shape or new.dtype not in _INTEGERS:
        came = f"{tuple(new.shape)} {new.dtype}" if isinstance(new, Tensor) else type(new).__name__
        raise errors.TurncoatError(
            f"a selection returned {came}, but must return integer labels of shape {tuple(old.shape)}"
        )
    if new.numel() and (new.min() < 0 or new.max() >= classes):
        raise errors.TurncoatError(f"a selection returned a label outside 0 … {classes - 1}")
    changed = (new != old).sum(0)
    if (changed > flips).any():
        raise errors.TurncoatError(
            f"a selection changed {int(changed.max())} labels, but the budget allows {int(flips.max())}"
        )
    return new
