"""What every aggregator promises, and the one place where its arguments are checked."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, cast

import torch
from jaxtyping import Float
from torch import Tensor

from turncoat.errors import TurncoatError, whole

Aggregator = Callable[[Tensor, int], Tensor]
"""``rule(messages, f)``: messages (r, w, p) to one update (r, p) per replica."""

P = ParamSpec("P")
StackedRule = Callable[Concatenate[Tensor, int, P], Tensor]


@dataclass(frozen=True)
class Limit:
    """How many hostile workers a rule stands: ``factor * f + offset < w``."""

    rule: str
    factor: int
    offset: int
    source: str

    def check(self, w: int, f: int) -> None:
        """Accept ``f`` hostile among ``w`` messages.

        Raises:
            TurncoatError: if f is too large, with the rule, its source and the largest f allowed.
        """
        if self.factor * f + self.offset < w:
            return
        times = "" if self.factor == 1 else str(self.factor)
        plus = f" + {self.offset}" if self.offset else ""
        most = (w - 1 - self.offset) // self.factor
        advice = f"use f <= {most}" if most >= 0 else f"give at least {self.offset + 1} messages"
        raise TurncoatError(
            f"{self.rule} needs {times}f{plus} < w ({self.source}), but f is {f} of w = {w} messages: {advice}"
        )


def batched(limit: Limit) -> Callable[[StackedRule[P]], StackedRule[P]]:
    """Let a rule over (r, w, p) take (w, p) as well, after a check of messages and f against ``limit``.

    Half precision is computed in float32 and rounded back; every other dtype is kept throughout.
    """

    def decorate(rule: StackedRule[P]) -> StackedRule[P]:
        @functools.wraps(rule)
        def checked(messages: Tensor, f: int, *args: P.args, **kwargs: P.kwargs) -> Tensor:
            stack = check_messages(messages, limit.rule)
            limit.check(stack.shape[1], f if type(f) is int and f >= 0 else whole(f, f"{limit.rule}: f"))
            if messages.dtype in (torch.float16, torch.bfloat16):
                result = rule(stack.float(), f, *args, **kwargs).to(messages.dtype)
            else:
                result = rule(stack, f, *args, **kwargs)
            return result if messages.ndim == 3 else result[0]

        return cast(StackedRule[P], checked)

    return decorate


def plain_on_cpu(messages: Tensor) -> bool:
    """Whether NumPy may read the tensor in place: on the CPU, float32 or float64, no gradient wanted."""
    known = messages.dtype in (torch.float32, torch.float64)
    return messages.device.type == "cpu" and known and not messages.requires_grad


def check_messages(messages: Tensor, rule: str) -> Float[Tensor, "r w p"]:
    """Return the messages as (r, w, p).

    Raises:
        TurncoatError: if they are not a floating-point tensor (w, p) or (r, w, p) with at least one worker.
    """
    if not isinstance(messages, Tensor) or not messages.is_floating_point():
        came = messages.dtype if isinstance(messages, Tensor) else type(messages).__name__
        raise TurncoatError(
            f"{rule} takes messages as a floating-point tensor, but {came} came: use .float()"
        )
    if messages.ndim not in (2, 3) or 0 in messages.shape:
        raise TurncoatError(
            f"{rule} takes messages of shape (workers, parameters) or (replicas, workers, parameters), "
            f"none of them 0, but {tuple(messages.shape)} came"
        )
    return messages if messages.ndim == 3 else messages[None]
