"""Losses made for noisy labels, each by what it weighs an example's cross-entropy gradient with."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from turncoat.defence import Part
from turncoat.losses import Loss

LOG_ZERO = -4.0  # what reverse cross-entropy takes for log 0 (Wang et al. 2019)


def loss_of(parts: tuple[Part, ...]) -> Loss:
    """The loss that a chain of defences trains with: cross-entropy where it names no other."""
    numbers = {part.name: part.numbers for part in parts}
    weight: Callable[[Tensor], Tensor] | None = None
    if "gce" in numbers:
        weight = partial(_power, power=numbers["gce"][0])
    elif "mae" in numbers:
        weight = _twice
    elif "symmetric" in numbers:
        own, reverse = numbers["symmetric"]
        weight = partial(_symmetric, own=own, reverse=reverse)
    smoothing = numbers.get("label_smoothing", (0.0,))[0]
    clip = numbers["clip"][0] if "clip" in numbers else None
    return Loss(weight, smoothing, clip)


def _power(p: Tensor, power: float) -> Tensor:
    """(1 - p^q) / q has the gradient p^q times cross-entropy's (Zhang and Sabuncu 2018)."""
    return p.pow(power)


def _twice(p: Tensor) -> Tensor:
    """‖onehot(y) - p‖₁ = 2 (1 - p_y) has the gradient 2 p_y times cross-entropy's (Ghosh, Kumar and Sastry 2017)."""
    return 2 * p


def _symmetric(p: Tensor, own: float, reverse: float) -> Tensor:
    """Reverse cross-entropy is -log 0 · (1 - p_y), whose gradient is that many times p_y cross-entropy's."""
    return own - LOG_ZERO * reverse * p
