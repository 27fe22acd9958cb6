"""Aggregators by name, chains of them, and any callable in their place."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from turncoat.errors import TurncoatError, choose
from turncoat.federation.aggregators.averages import mean
from turncoat.federation.aggregators.clipping import arc, centered_clipping, norm_clipping
from turncoat.federation.aggregators.contract import Aggregator, check_messages
from turncoat.federation.aggregators.coordinates import mean_around_median, median, trimmed_mean
from turncoat.federation.aggregators.filtering import caf
from turncoat.federation.aggregators.geometric import geometric_median
from turncoat.federation.aggregators.krum import bulyan, krum, multi_krum
from turncoat.federation.aggregators.lfighter import lfighter
from turncoat.federation.aggregators.mixing import bucketing, nnm

AGGREGATORS: dict[str, Aggregator] = {
    "mean": mean,
    "median": median,
    "trimmed_mean": trimmed_mean,
    "mean_around_median": mean_around_median,
    "geometric_median": geometric_median,
    "krum": krum,
    "multi_krum": multi_krum,
    "bulyan": bulyan,
    "centered_clipping": centered_clipping,
    "norm_clipping": norm_clipping,
    "caf": caf,
    "lfighter": lfighter,
}
"""(r, w, p) to (r, p); ``lfighter`` must be told the output layer first, by ``aggregator(..., head=...)``."""

PREAGGREGATORS: dict[str, Aggregator] = {"nnm": nnm, "bucketing": bucketing, "arc": arc}
"""(r, w, p) to (r, m, p): what may stand before an aggregator in a chain."""


def aggregator(
    rule: str | Callable[[Tensor], Tensor], *, head: tuple[int, int, int] | None = None
) -> Aggregator:
    """An aggregator from a name, a chain such as ``"arc+nnm+krum"``, or any callable from (w, p) to (p).

    ``head`` is for ``lfighter`` alone: (offset, classes, width) of the output layer's block in the parameters.

    Raises:
        TurncoatError: if a name is unknown or the chain makes no sense.
    """
    if not isinstance(rule, str):
        if callable(rule):
            return _each_replica(rule)
        raise TurncoatError(f"aggregator takes a name or a callable (w, p) -> (p), but {rule!r} came")
    names = [choose(name.strip(), {*AGGREGATORS, *PREAGGREGATORS}, "aggregator") for name in rule.split("+")]
    *before, last = names
    _check_chain(rule, before, last)
    final = functools.partial(lfighter, head=head) if last == "lfighter" else AGGREGATORS[last]
    steps = [PREAGGREGATORS[name] for name in before]

    def chained(messages: Tensor, f: int) -> Tensor:
        for step in steps:
            messages = step(messages, f)
        return final(messages, f)

    return chained if steps else final


def _check_chain(chain: str, before: list[str], last: str) -> None:
    if last in PREAGGREGATORS or any(name in AGGREGATORS for name in before):
        raise TurncoatError(
            f"aggregator {chain!r} makes no sense: pre-aggregators ({', '.join(PREAGGREGATORS)}) come first "
            "and exactly one aggregator comes last, such as 'nnm+trimmed_mean'"
        )
    if len(set(before)) < len(before):
        raise TurncoatError(f"aggregator {chain!r} names a pre-aggregator twice: name each once")


def _each_replica(rule: Callable[[Tensor], Tensor]) -> Aggregator:
    name = getattr(rule, "__name__", type(rule).__name__)

    def looped(messages: Tensor, f: int) -> Tensor:
        stack = check_messages(messages, f"aggregator {name}")
        # A copy, since nothing is known of the callable: what it does to its argument stays there.
        results = [_check_result(rule(replica.clone()), replica, name) for replica in stack]
        return torch.stack(results) if messages.ndim == 3 else results[0]

    return looped


def _check_result(result: object, replica: Tensor, name: str) -> Tensor:
    wanted = replica.shape[1:]
    if not isinstance(result, Tensor) or result.shape != wanted or result.dtype != replica.dtype:
        came = (
            f"{result.dtype} of shape {tuple(result.shape)}"
            if isinstance(result, Tensor)
            else repr(type(result))
        )
        raise TurncoatError(
            f"aggregator {name} returned {came}; for messages of shape {tuple(replica.shape)} "
            f"it must return {replica.dtype} of shape {tuple(wanted)}"
        )
    return result
