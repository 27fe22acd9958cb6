"""Who holds which examples: equal at random, Dirichlet shares of a class, slices of sorted labels, or as given."""

import torch
from jaxtyping import Int
from torch import Tensor

from turncoat.errors import TurncoatError
from turncoat.federation.names import partition_kind


def deal(
    labels: Int[Tensor, " n"],
    workers: int,
    partition: str,
    generator: torch.Generator,
    holder: Int[Tensor, " n"] | None = None,
) -> list[Int[Tensor, " m"]]:
    """The examples of each worker; together all of them, none twice.

    iid: equal parts of a random order. dirichlet:α: each class is cut by shares drawn from Dirichlet(α, …, α)
    (Hsu et al. 2019). shards:M: the examples sorted by label are cut into w·M slices, each worker draws M
    (McMahan et al. 2017). given: to each what the data say it holds.

    Raises:
        TurncoatError: if there are fewer examples than workers or slices, or a worker would hold nothing.
    """
    kind, value = partition_kind(partition)
    if kind == "given":
        return _given(holder, workers)
    n = len(labels)
    if n < workers:
        raise TurncoatError(f"{workers} workers for {n} examples: give at most {n} workers")
    if kind == "shards" and workers * value > n:
        most = f"shards:{n // workers}"
        raise TurncoatError(
            f"partition {partition!r} cuts {workers * int(value)} slices for {workers} workers out of {n} examples:"
            f" give at most {most!r}"
        )
    order = torch.randperm(n, generator=generator)
    if kind == "iid":
        return list(order.tensor_split(workers))
    held = labels.cpu()[order]
    if kind == "shards":
        pieces = order[held.argsort(stable=True)].tensor_split(workers * int(value))
        drawn = torch.randperm(len(pieces), generator=generator).view(workers, -1).tolist()
        parts = [torch.cat([pieces[i] for i in own]) for own in drawn]
    else:
        parts = _dirichlet(order, held, workers, value, generator)
    empty = [i for i, part in enumerate(parts) if len(part) == 0]
    if empty:
        raise TurncoatError(
            f"partition {partition!r} leaves worker {empty[0]} without examples: use fewer workers or a larger number"
            " after the colon"
        )
    return parts


def _given(holder: Tensor | None, workers: int) -> list[Int[Tensor, " m"]]:
    if holder is None:
        raise TurncoatError(
            "partition 'given' is for data that say who holds what: give workers_from (a column of your table, or a"
            " folder with one file for each worker)"
        )
    named = int(holder.max()) + 1
    if named != workers:
        raise TurncoatError(f"the data name {named} workers, but workers is {workers}: give {named}")
    parts = [(holder == worker).nonzero().squeeze(1) for worker in range(workers)]
    empty = [worker for worker, part in enumerate(parts) if not len(part)]
    if empty:
        raise TurncoatError(
            f"worker {empty[0]} has no example left to train on: hold fewer out, or give it more"
        )
    return parts


def _dirichlet(
    order: Tensor, held: Tensor, workers: int, alpha: float, generator: torch.Generator
) -> list[Int[Tensor, " m"]]:
    parts: list[list[Tensor]] = [[] for _ in range(workers)]
    for label in held.unique():
        rows = order[held == label]
        concentration = torch.full((workers,), alpha, dtype=torch.float64)
        # a Dirichlet draw is a normalised gamma draw, and this is the gamma sampler that takes a generator
        gamma = torch._standard_gamma(concentration, generator=generator)
        shares = gamma / gamma.sum().clamp(min=1e-300)
        cuts = (shares.cumsum(0)[:-1] * len(rows)).round().long()
        for worker, piece in enumerate(rows.tensor_split(cuts)):
            parts[worker].append(piece)
    return [torch.cat(part) for part in parts]
