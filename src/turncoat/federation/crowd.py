"""A federation's constants for one seed: whose examples are whose, and what the server does with messages."""

import dataclasses
import itertools
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.errors import TurncoatError
from turncoat.federation.aggregators.averages import mean, weighted_mean
from turncoat.federation.aggregators.chain import aggregator
from turncoat.federation.federation import Federation
from turncoat.federation.messages import pack
from turncoat.federation.names import chained_names
from turncoat.federation.partition import deal
from turncoat.federation.visibility import looked_at
from turncoat.models.stack import Model, moved
from turncoat.randomness import generator


@dataclasses.dataclass(frozen=True)
class Crowd:
    """The workers of one run; the first ``federation.hostile`` of them are hostile."""

    federation: Federation
    shards: tuple[Int[Tensor, " _"], ...]
    aggregate: Callable[[Tensor, int], Tensor]
    batch: int  # examples that a worker uses between two reports
    rounds: int  # rounds of an epoch: as many as it takes to see about all of the data once
    watched: frozenset[int]  # steps of the whole run whose messages are looked at

    @property
    def blocks(self) -> tuple[tuple[int, int], ...]:
        """Where each hostile worker's rows stand in ``order``."""
        return self._places()[: self.federation.hostile]

    @property
    def honest(self) -> tuple[tuple[int, int], ...]:
        """Where each honest worker's rows stand in ``order``."""
        return self._places()[self.federation.hostile :]

    def _places(self) -> tuple[tuple[int, int], ...]:
        return tuple(itertools.pairwise(itertools.accumulate(map(len, self.shards), initial=0)))

    @property
    def order(self) -> Int[Tensor, " n"]:
        """All examples, worker by worker: the hostile ones' come first."""
        return torch.cat(self.shards)

    def present(self, seed: int, epoch: int, turn: int) -> Int[Tensor, " m"]:
        """Who takes part in a round of an epoch, in the order of the workers: so the hostile ones come first."""
        workers = self.federation.workers
        if self.federation.present == workers:
            return torch.arange(workers)
        drawn = torch.randperm(workers, generator=generator(seed, "participation", epoch, turn))
        return drawn[: self.federation.present].sort().values

    def hostile_of(self, who: Int[Tensor, " m"]) -> int:
        """How many of these workers are hostile."""
        return int((who < self.federation.hostile).sum())

    def update(self, messages: Float[Tensor, "r m p"], who: Int[Tensor, " m"]) -> Float[Tensor, "r p"]:
        """What the server makes of the messages of these workers."""
        f = self.federation.f
        if self.federation.weighting == "size":
            return self.average(messages, who)
        return self.aggregate(messages, f)

    def average(self, messages: Float[Tensor, "r m p"], who: Int[Tensor, " m"]) -> Float[Tensor, "r p"]:
        """The mean of their messages, as the federation weighs them, whatever its rule."""
        if self.federation.weighting == "size":
            return weighted_mean(messages, self.federation.f, weights=self.weights(who))
        return mean(messages, 0)

    def weights(self, who: Int[Tensor, " m"]) -> Int[Tensor, " m"]:
        """What each of these workers counts in a mean."""
        equal = self.federation.weighting != "size"
        return torch.tensor([1 if equal else len(self.shards[i]) for i in who.tolist()])

    def epoch(self, seed: int, epoch: int) -> Int[Tensor, "t w b"]:
        """Every worker's examples for every report of an epoch: its own shard in a new order, again and again."""
        rows = []
        for worker, shard in enumerate(self.shards):
            draw = generator(seed, "batches", epoch, worker)
            order = torch.randperm(len(shard), generator=draw).to(shard.device)
            index = torch.arange(self.rounds * self.batch, device=shard.device) % len(shard)
            rows.append(shard[order[index]].view(self.rounds, self.batch))
        return torch.stack(rows, 1)


def enlist(
    federation: Federation,
    model: Model,
    y: Int[Tensor, " n"],
    seed: int,
    batch_size: int,
    epochs: int,
    holder: Int[Tensor, " n"] | None = None,
) -> Crowd:
    """Deal the data out, as ``holder`` says where the partition is given, and set the server up.

    Raises:
        TurncoatError: if a worker would hold nothing, or the aggregator cannot stand that many hostile workers.
    """
    shards = deal(y, federation.workers, federation.partition, generator(seed, "partition"), holder)
    named = [] if callable(federation.aggregator) else chained_names(federation.aggregator)
    head = head_block(model) if "lfighter" in named else (0, 2, 1)
    rule = aggregator(federation.aggregator, head=head)
    blank = torch.zeros(1, federation.present, head[0] + head[1] * head[2])
    rule(blank, federation.f)  # tells if f is too large
    batch = batch_size * federation.local_steps
    rounds = max(1, -(-len(y) // (federation.present * batch)))
    return Crowd(
        federation=federation,
        shards=tuple(shard.to(y.device) for shard in shards),
        aggregate=rule,
        batch=batch,
        rounds=rounds,
        watched=frozenset(looked_at(rounds * epochs)),
    )


def head_block(model: Model) -> tuple[int, int, int]:
    """Where the output layer's (classes, width) block lies in a packed vector: offset, classes, width.

    Every parameter of the last layer is packed with its own numbers in it, so that its place and the order of its
    axes can be read off, whatever ``Model.pack`` does.

    Raises:
        TurncoatError: if the model has no weight matrix with one row per class, as binary logistic regression.
    """
    one = moved(model, model.init(generator(0, "head"), 1))
    for name in model.head:
        shape = one[name].movedim(model.replica_axis[name], 0).shape[1:]
        if len(shape) != 2 or model.classes not in shape or shape.numel() == model.classes:
            continue
        marked = {key: torch.full_like(value, -1, dtype=torch.float64) for key, value in one.items()}
        numbers = torch.arange(shape.numel(), dtype=torch.float64).view(1, *shape)
        marked[name] = numbers.movedim(0, model.replica_axis[name])
        packed = pack(model, marked)[0].long()
        width = shape.numel() // model.classes
        start = int((packed >= 0).nonzero()[0])
        block = packed[start : start + shape.numel()]
        rows = numbers[0].long()
        for order in (rows, rows.T):  # as packed, is the class the slower axis?
            if len(order) == model.classes and torch.equal(block, order.flatten()):
                return start, model.classes, width
    raise TurncoatError(
        f"lfighter needs an output layer with one row of weights per class, but model {model.name!r} with"
        f" {model.classes} classes has none: use another aggregator, such as trimmed_mean"
    )
