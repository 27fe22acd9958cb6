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
