"""Aggregators by name, chains of them, and any callable in their place or at their end."""

import functools
import inspect
from collections.abc import Callable

import torch
from torch import Tensor

from turncoat import own_code
from turncoat.errors import TurncoatError, reason, shown
from turncoat.federation.aggregators.averages import mean
from turncoat.federation.aggregators.clipping import arc, centered_clipping, norm_clipping
from turncoat.federation.aggregators.contract import Aggregator, check_messages
from turncoat.federation.aggregators.coordinates import mean_around_median, median, trimmed_mean
from turncoat.federation.aggregators.filtering import caf
from turncoat.federation.aggregators.geometric import geometric_median
from turncoat.federation.aggregators.krum import bulyan, krum, multi_krum
from turncoat.federation.aggregators.lfighter import lfighter
from turncoat.federation.aggregators.mixing import bucketing, nnm
from turncoat.federation.names import chained_names, is_own

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


def aggregator(rule: str | Callable[..., Tensor], *, head: tuple[int, int, int] | None = None) -> Aggregator:
    """An aggregator from a name, a chain such as ``"arc+nnm+krum"``, or a callable of one's own.

    That is called as rule(messages) or, if it takes two arguments, as rule(messages, f), with the messages (w, p) of
    one replica after the other, and gives (p). By name, such as ``"mypkg.rules:mine"``, it may end a chain.
    ``head`` is for ``lfighter`` alone: (offset, classes, width) of the output layer's block in the parameters.

    Raises:
        TurncoatError: if a name is unknown, the chain makes no sense, or a callable can't be imported.
    """
    if not isinstance(rule, str):
        if callable(rule):
            return _each_replica(rule)
        raise TurncoatError(f"aggregator takes a name or a callable (w, p) -> (p), but {shown(rule)} came")
    *before, last = chained_names(rule)
    steps = [PREAGGREGATORS[name] for name in before]
    final = _last(last, head)

    def chained(messages: Tensor, f: int) -> Tensor:
        for step in steps:
            messages = step(messages, f)
        return final(messages, f)

    return chained if steps else final


def _last(name: str, head: tuple[int, int, int] | None) -> Aggregator:
    if is_own(name):
        return _each_replica(own_code.rule(name, "aggregator", "an update (p)"))
    return functools.partial(lfighter, head=head) if name == "lfighter" else AGGREGATORS[name]


def coded(rule: str) -> str:
    """A chain with the digest of the code behind the rule of one's own that it ends in, if any.

    Raises:
        TurncoatError: if that can't be imported.
    """
    before, plus, last = rule.rpartition("+")
    if not is_own(last):
        return rule
    _last(last, None)
    return f"{before}{plus}{own_code.coded(last, 'aggregator')}"


def _each_replica(rule: Callable[..., Tensor]) -> Aggregator:
    name = getattr(rule, "__name__", type(rule).__name__)
    takes_f = _takes_two(rule)

    def asked(messages: Tensor, f: int) -> Tensor:
        # A copy, since nothing is known of the callable: what it does to its argument stays there.
        given = (messages.clone(), f) if takes_f else (messages.clone(),)
        try:
            return _check_result(rule(*given), messages, name)
        except TurncoatError:
            raise
        except Exception as error:
            raise TurncoatError(
                f"aggregator {name} failed ({reason(error)}): it is called as rule(messages) or rule(messages, f),"
                " with messages (w, p), and must give (p)"
            ) from error

    def looped(messages: Tensor, f: int) -> Tensor:
        stack = check_messages(messages, f"aggregator {name}")
        results = [asked(replica, f) for replica in stack]
        return torch.stack(results) if messages.ndim == 3 else results[0]

    return looped


def _takes_two(rule: Callable[..., Tensor]) -> bool:
    try:
        inspect.signature(rule).bind(0, 0)
    except TypeError:
        return False
    except ValueError:  # some built-in functions have no signature
        return False
    return True


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
