"""Feature scales: each takes training and test features as read and returns both as float32.

Nothing is learned from the test part, and what comes in is never changed.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float32, Float64, Real
from torch import Tensor

from turncoat.errors import TurncoatError

# Rows are widened to float64 a block at a time, so that no second full copy is ever made.
BLOCK = 1 << 20

Pair = tuple[Float32[Tensor, "n d"], Float32[Tensor, "m d"]]
Scale = Callable[[Real[Tensor, "n d"], Real[Tensor, "m d"], float | None], Pair]


def raw(
    x: Real[Tensor, "n d"], x_test: Real[Tensor, "m d"], span: float | None = None
) -> tuple[Float32[Tensor, "n d"], Float32[Tensor, "m d"]]:
    """Leave the values as they are.

    Raises:
        TurncoatError: for a value that float32 cannot hold.
    """
    for part in (x, x_test):
        largest = part.abs().amax(0) if part.dtype == torch.float64 else part.new_zeros(1)
        _refuse_huge(largest, largest > torch.finfo(torch.float32).max, "float32 cannot hold")
    return x.to(torch.float32), x_test.to(torch.float32)


def unit(
    x: Real[Tensor, "n d"], x_test: Real[Tensor, "m d"], span: float | None = None
) -> tuple[Float32[Tensor, "n d"], Float32[Tensor, "m d"]]:
    """Divide by ``span``; where it is None, map each feature's training range to [0, 1].

    A feature that is constant in the training data becomes 0.
    """
    if span is not None:
        return x.to(torch.float32, copy=True).div_(span), x_test.to(torch.float32, copy=True).div_(span)
    low, high = x.amin(0).double(), x.amax(0).double()
    width = _never_zero(high - low, low == high)
    return _affine(x, low, width), _affine(x_test, low, width)


def standard(
    x: Real[Tensor, "n d"], x_test: Real[Tensor, "m d"], span: float | None = None
) -> tuple[Float32[Tensor, "n d"], Float32[Tensor, "m d"]]:
    """Subtract each feature's training mean and divide by its standard deviation (over n, not n - 1).

    A feature that is constant in the training data becomes 0.

    Raises:
        TurncoatError: for values so large that their variance overflows.
    """
    zero = torch.zeros(x.shape[1], dtype=torch.float64)
    mean = sum((block.double().sum(0) for block in _blocks(x)), zero) / len(x)
    square = sum(((block.double() - mean).square_().sum(0) for block in _blocks(x)), zero) / len(x)
    _refuse_huge(x.abs().amax(0), ~square.isfinite(), "have no finite variance")
    width = _never_zero(square.sqrt(), x.amin(0) == x.amax(0))
    return _affine(x, mean, width), _affine(x_test, mean, width)


SCALES: dict[str, Scale] = {"raw": raw, "unit": unit, "standard": standard}


def _refuse_huge(largest: Tensor, bad: Tensor, told: str) -> None:
    if bool(bad.any()):
        column = int(bad.nonzero()[0])
        raise TurncoatError(
            f"feature {column} (counted from 0) reaches {float(largest[column]):.3g}, values that {told}: divide it by"
            " a fitting unit first"
        )


def _never_zero(width: Float64[Tensor, " d"], constant: Tensor) -> Float64[Tensor, " d"]:
    """Divide by infinity where a feature is constant, so that it becomes 0 in every part."""
    return width.masked_fill(constant | (width == 0), torch.inf)


def _blocks(x: Real[Tensor, "n d"]) -> tuple[Tensor, ...]:
    return torch.split(x, max(1, BLOCK // max(1, x.shape[1])))


def _affine(
    x: Real[Tensor, "n d"], shift: Float64[Tensor, " d"], width: Float64[Tensor, " d"]
) -> Float32[Tensor, "n d"]:
    """Return ``(x - shift) / width``, computed in float64 and stored in float32."""
    out = torch.empty(x.shape, dtype=torch.float32)
    for block, place in zip(_blocks(x), _blocks(out), strict=True):
        place.copy_((block.double() - shift).div_(width))
    return out
