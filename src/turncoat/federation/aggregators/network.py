"""Comparator networks: select ranks by minimum and maximum alone, so that whole rows go through SIMD."""

import functools
from collections.abc import Collection, Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Step(NamedTuple):
    """A comparator: the smaller value goes to row ``low``, the larger to ``high``, if anyone wants them there."""

    low: int
    high: int
    wants_low: bool
    wants_high: bool


class Network(NamedTuple):
    """Steps after which the wanted values stand in the ``kept`` rows."""

    steps: tuple[Step, ...]
    kept: tuple[int, ...]

    @property
    def cost(self) -> int:
        """How many minima and maxima it takes."""
        return sum(step.wants_low + step.wants_high for step in self.steps)


@functools.cache
def sorting_network(size: int) -> tuple[tuple[int, int], ...]:
    """Comparators (i, j), i < j, that sort ``size`` values: smaller one to i, larger one to j.

    Source: Batcher 1968, "Sorting networks and their applications" (odd-even merge sort).
    """
    pairs = []
    run = 1
    while run < size:
        step = run
        while step:
            starts = range(step % run, size - step, 2 * step)
            lows = [start + i for start in starts for i in range(min(step, size - step - start))]
            pairs += [(low, low + step) for low in lows if low // (2 * run) == (low + step) // (2 * run)]
            step //= 2
        run *= 2
    return tuple(pairs)


def pruned(pairs: Iterable[tuple[int, int]], kept: Collection[int]) -> Network:
    """The comparators, and the halves of them, that what ends in the ``kept`` rows depends on."""
    needed, steps = set(kept), []
    for low, high in reversed(tuple(pairs)):
        if low in needed or high in needed:
            steps.append(Step(low, high, low in needed, high in needed))
            needed |= {low, high}
    return Network(tuple(reversed(steps)), tuple(kept))


@functools.cache
def selection_network(size: int, ranks: range) -> Network:
    """Brings the values of these ranks to the rows of the same numbers."""
    return pruned(sorting_network(size), ranks)


@functools.cache
def trimming_network(size: int, cut: int) -> Network:
    """Drops the ``cut`` smallest and largest values; the others are kept in no order.

    Each round pairs the rows, carries the smallest along the smaller ones and the largest along the larger ones,
    and drops both.
    """
    rows, pairs = list(range(size)), []
    for _ in range(cut):
        half = len(rows) // 2
        low, high = rows[: len(rows) - half], rows[len(rows) - half :]
        pairs += list(zip(low, high, strict=False))
        pairs += [(low[0], other) for other in low[1:]]  # row low[0] carries the smallest
        if len(low) > half:  # what the odd one left behind may be the largest of all
            high.append(low.pop())
        pairs += [(other, high[0]) for other in high[1:]]
        rows = low[1:] + high[1:]
    return pruned(pairs, rows)


def run(network: Network, messages: Float[Tensor, "r w p"], room: Float[Tensor, "v r p"]) -> list[Tensor]:
    """The kept rows, each (r, p); a NaN anywhere leaves at least one NaN among them.

    ``room`` has place for one row more than there are workers and is overwritten: rows that stay in the cache are
    several times as fast as new memory at every step. No gradient flows.
    """
    rows, spare = list(room[:-1].unbind()), room[-1]
    room[:-1].copy_(messages.movedim(1, 0))
    for low, high, wants_low, wants_high in network.steps:
        a, b = rows[low], rows[high]
        if not wants_high:
            torch.minimum(a, b, out=a)
        elif not wants_low:
            torch.maximum(a, b, out=b)
        else:
            torch.minimum(a, b, out=spare)
            torch.maximum(a, b, out=b)
            rows[low], spare = spare, a
    return [rows[row] for row in network.kept]
