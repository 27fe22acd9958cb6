"""Order statistics along the worker axis, the hot part of every coordinate-wise rule.

Three ways, all equal: a comparator network for few workers (any device), NumPy's vectorised sort over cache-sized
blocks for many workers on the CPU, and ``torch.sort`` for the rest and where a gradient is wanted. NaN ranks highest.
"""

import functools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turncoat.federation.aggregators.contract import plain_on_cpu
from turncoat.federation.aggregators.network import Network, run, selection_network, trimming_network

NETWORK_WORKERS = 24
"""Up to here the network's w·log²w passes beat a sort, measured on the CPU."""
BLOCK = 2048
"""Coordinates sorted at a time: BLOCK × 100 workers of float32 stay in a core's cache."""
ROW = 1 << 18
"""Values per network row on the CPU: long enough to hide a call's cost, short enough for a last-level cache."""
STACKED_ROW = 5 << 14
"""The same where rows are stacked into new memory, which must come from a core's own cache to be fast."""
THREADED = 1 << 20
"""Values from which starting threads costs less than it saves."""

Reduce = Callable[[Any], Any]
"""From (..., ranks), a tensor or an array sorted along the last axis, to (...)."""


def middle(count: int) -> range:
    """Ranks of the median: the middle one, or both where count is even."""
    return range((count - 1) // 2, count // 2 + 1)


def mean_of_ranks(messages: Float[Tensor, "r w p"], ranks: range) -> Float[Tensor, "r p"]:
    """Average the values that have these ranks in their coordinate."""
    w, cut = messages.shape[1], ranks.start
    if not _suits_network(messages):
        return reduce_sorted(messages, ranks, lambda values: values.mean(-1))
    network = selection_network(w, ranks)
    if cut == w - ranks.stop:
        network = min(network, trimming_network(w, cut), key=lambda found: found.cost)
    return _by_network(messages, network, _mean, ROW)


def mean_of_nearest(messages: Float[Tensor, "r w p"], keep: int) -> Float[Tensor, "r p"]:
    """Average, per coordinate, the ``keep`` values nearest to the median; of two as near, the lower one."""
    count = messages.shape[1]
    centre = middle(count)

    def nearest(values: Any) -> Any:
        # The nearest are a window of the sorted values. Of ranks j, j + keep, j + 2 keep, ... exactly one is in
        # it, the nearest of them, so a few comparisons replace a second sort by distance.
        where = np.where if isinstance(values, np.ndarray) else torch.where
        median = values[..., centre.start : centre.stop].mean(-1)[..., None]
        window = values[..., :keep] + 0
        for start in range(keep, count, keep):
            later = values[..., start : start + keep]
            lower = window[..., : later.shape[-1]]
            window[..., : later.shape[-1]] = where(later - median < median - lower, later, lower)
        return window.mean(-1)

    return reduce_sorted(messages, range(count), nearest)


def reduce_sorted(messages: Float[Tensor, "r w p"], ranks: range, reduce: Reduce) -> Float[Tensor, "r p"]:
    """Apply ``reduce`` to the values of the wanted ranks, per replica and coordinate."""
    if _suits_network(messages):
        network = selection_network(messages.shape[1], ranks)
        stacked = functools.partial(_stacked, reduce)
        return _by_network(messages, network, stacked, STACKED_ROW)
    if plain_on_cpu(messages):
        return _by_numpy(messages, ranks, reduce)
    ordered = messages.sort(1).values[:, ranks.start : ranks.stop]
    result: Tensor = reduce(ordered.movedim(1, -1))
    return result


def _suits_network(messages: Tensor) -> bool:
    return messages.shape[1] <= NETWORK_WORKERS and not messages.requires_grad


def _mean(rows: list[Tensor]) -> Tensor:
    total = rows[0].clone()
    for row in rows[1:]:
        total += row
    return total.div_(len(rows))


def _stacked(reduce: Reduce, rows: list[Tensor]) -> Tensor:
    result: Tensor = reduce(torch.stack(rows).movedim(0, -1))
    return result


def _by_network(
    messages: Float[Tensor, "r w p"], network: Network, reduce: Callable[[list[Tensor]], Tensor], most: int
) -> Float[Tensor, "r p"]:
    """Apply ``reduce``, from the network's rows to (r, p), to blocks whose rows have at most so many values."""
    r, w, p = messages.shape
    if messages.device.type != "cpu":
        most = r * p
    height, width = _even(r, max(1, most // p)), _even(p, most)
    room = messages.new_empty(w + 1, height, width)
    result = messages.new_empty(r, p)
    for top in range(0, r, height):
        for left in range(0, p, width):
            block = messages[top : top + height, :, left : left + width]
            place = room[:, : len(block), : block.shape[-1]]
            result[top : top + height, left : left + width] = reduce(run(network, block, place))
    if bool(result.sum().isnan()) and bool(messages.isnan().any()):
        return _by_network(messages.nan_to_num(torch.inf, torch.inf, -torch.inf), network, reduce, most)
    return result


def _even(count: int, most: int) -> int:
    """The size of equal parts, each of at most so many."""
    parts = math.ceil(count / most)
    return math.ceil(count / parts)


def _by_numpy(messages: Tensor, ranks: range, reduce: Reduce) -> Tensor:
    r, _, p = messages.shape
    values = messages.numpy()
    result = torch.empty(r, p, dtype=messages.dtype)
    target = result.numpy()

    def block(job: tuple[int, int]) -> None:
        replica, start = job
        part = np.ascontiguousarray(values[replica, :, start : start + BLOCK].T)
        part.sort(axis=1)
        with np.errstate(invalid="ignore", over="ignore"):
            target[replica, start : start + BLOCK] = reduce(part[:, ranks.start : ranks.stop])

    jobs = [(replica, start) for replica in range(r) for start in range(0, p, BLOCK)]
    threads = min(torch.get_num_threads(), len(jobs))
    if threads == 1 or messages.numel() < THREADED:
        for job in jobs:
            block(job)
        return result
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(block, jobs))
    return result
