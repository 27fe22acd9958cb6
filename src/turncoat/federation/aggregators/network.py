"""Comparator networks: select ranks by minimum and maximum alone, so that whole rows go through SIMD."""

import functools

import torch
from jaxtyping import Float
from torch import Tensor


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


@functools.cache
def selection_network(size: int, ranks: range) -> tuple[tuple[int, int], ...]:
    """The comparators of the sorting network that the wanted ranks depend on."""
    needed, pairs = set(ranks), []
    for low, high in reversed(sorting_network(size)):
        if low in needed or high in needed:
            pairs.append((low, high))
            needed |= {low, high}
    return tuple(reversed(pairs))


def select(messages: Float[Tensor, "r w p"], ranks: range) -> Float[Tensor, "r p k"]:
    """The values of the wanted ranks per coordinate, smallest first; a NaN anywhere makes all of them NaN."""
    rows = list(messages.unbind(1))
    for low, high in selection_network(len(rows), ranks):
        a, b = rows[low], rows[high]
        rows[low], rows[high] = torch.minimum(a, b), torch.maximum(a, b)
    return torch.stack([rows[rank] for rank in ranks]).movedim(0, -1)


def trim(messages: Float[Tensor, "r w p"], cut: int) -> list[Float[Tensor, "r p"]]:
    """The values but the ``cut`` smallest and largest per coordinate, in no order.

    Each round pairs the rows, carries the smallest along the smaller ones and the largest along the larger ones,
    and drops both. A NaN anywhere leaves at least one NaN among the rest.
    """
    rows = list(messages.unbind(1))
    for _ in range(cut):
        half = len(rows) // 2
        pairs = list(zip(rows[:half], rows[half : 2 * half], strict=True))
        low = [torch.minimum(a, b) for a, b in pairs] + rows[2 * half :]  # with the odd one out
        high = [torch.maximum(a, b) for a, b in pairs]
        rows, last = [], low[0]
        for value in low[1:]:
            rows.append(torch.maximum(last, value))
            last = torch.minimum(last, value)
        if len(low) > half:  # what the odd one left behind may be the largest of all
            high.append(rows.pop())
        last = high[0]
        for value in high[1:]:
            rows.append(torch.minimum(last, value))
            last = torch.maximum(last, value)
    return rows


def trim_comparators(size: int, cut: int) -> int:
    """How many comparators ``trim`` takes."""
    return sum(left // 2 + 2 * ((left + 1) // 2 - 1) for left in range(size, size - 2 * cut, -2))
