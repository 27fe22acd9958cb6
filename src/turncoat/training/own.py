"""Many small models as one stack, each on rows of its own: the parts of a partition, bags, or several seeds.

A replica's training depends on its own rows, labels and seed alone, and on nothing of the other replicas' labels.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat import losses
from turncoat.direction import Params
from turncoat.errors import TurncoatError
from turncoat.metrics import largest_eigenvalue
from turncoat.models.span import Span
from turncoat.models.stack import Model, Pullback
from turncoat.precision import FLOAT32
from turncoat.randomness import generator
from turncoat.recipe import Recipe
from turncoat.training import optimizers

CACHE = 4 << 20  # bytes that the replicas of a tile read in every step
LEAST = 4  # replicas of a tile: fewer do not pay for a step's launches
STEPS = 60  # of a linear model, with momentum
BRIEF = 100  # of a network


@dataclasses.dataclass(frozen=True)
class Parts:
    """``rows[j, : sizes[j]]`` are the rows of replica j; what stands behind them repeats one and does not count."""

    rows: Int[Tensor, "r m"]
    sizes: Int[Tensor, " r"]

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def counts(self) -> Float[Tensor, "r m"]:
        """1 where a row counts, else 0."""
        return (torch.arange(self.rows.shape[1], device=self.sizes.device) < self.sizes.unsqueeze(1)).float()

    def some(self, replicas: slice | Int[Tensor, " s"]) -> "Parts":
        """The parts of some replicas, as wide as before."""
        return Parts(self.rows[replicas], self.sizes[replicas])


def parts_of(groups: Sequence[Int[Tensor, " _"]]) -> Parts:
    """Parts from the rows of each replica, which may differ in number.

    Raises:
        TurncoatError: if a replica has no row.
    """
    empty = next((j for j, rows in enumerate(groups) if not len(rows)), None)
    if empty is not None:
        raise TurncoatError(f"part {empty} has no row; give every part at least one")
    longest = max(len(rows) for rows in groups)
    padded = [torch.cat([rows, rows[:1].expand(longest - len(rows))]) for rows in groups]
    return Parts(torch.stack(padded), torch.tensor([len(rows) for rows in groups]))


def usual_recipe(model: Model, x: Tensor, rows: int) -> Recipe:
    """Full-batch steps: as long as is sure to be stable for a linear model, whatever the scale, else Adam's."""
    if model.curvature is None:
        return Recipe(epochs=BRIEF, batch_size=rows, learning_rate=0.01, optimizer="adam")
    step = 1 / (model.curvature * largest_eigenvalue(x))
    return Recipe(epochs=STEPS, batch_size=rows, learning_rate=step, momentum=0.9)


def train_own(
    model: Model,
    recipe: Recipe,
    x: Tensor,
    labels: Int[Tensor, "r m"],
    parts: Parts,
    seeds: Sequence[int],
) -> Params:
    """Train every replica on its own part of ``x`` (n, …) with its own labels, and return the stack.

    An epoch has as many steps as the longest part has batches; each part is divided evenly among them.

    Raises:
        TurncoatError: if the recipe stops early, which nothing held out could decide here, or takes its products in
            bfloat16.
    """
    trained = [params for _, params in trained_tiles(model, recipe, x, labels, parts, seeds)]
    return {name: torch.cat([p[name] for p in trained], axis) for name, axis in model.replica_axis.items()}


def trained_tiles(
    model: Model,
    recipe: Recipe,
    x: Tensor,
    labels: Int[Tensor, "r m"],
    parts: Parts,
    seeds: Sequence[int],
) -> Iterator[tuple[slice, Params]]:
    """The same, some replicas after the other, so that what a step reads stays in the cache.

    Raises:
        TurncoatError: as ``train_own``.
    """
    if recipe.patience:
        raise TurncoatError(
            f"patience is {recipe.patience}, but parts train for all epochs: leave patience out"
        )
    if recipe.precision != FLOAT32:
        raise TurncoatError(
            f"precision is {recipe.precision!r}, but parts train in float32: leave precision out"
        )
    if model.in_training is not None:
        raise TurncoatError(
            f"model {model.name!r} acts differently while it trains, by {model.in_training.parts}: parts train"
            " models that don't, such as 'mlp', or one's own with GroupNorm"
        )
    span = _span(model, recipe, x, parts)
    size = tile(model, x, parts, span is not None)
    for start in range(0, len(parts), size):
        few = slice(start, start + size)
        own = _Stack(x, labels[few], parts.some(few), tuple(seeds[few]))
        yield few, _train(model, recipe, own) if span is None else _train_in_span(span, recipe, own)


def tile(model: Model, x: Tensor, parts: Parts, in_span: bool) -> int:
    """How many replicas to train at once."""
    longest, features = parts.rows.shape[1], x[0].numel()
    one = sum(value.numel() for value in model.init(torch.Generator(), 1).values())
    floats = longest * (longest + 4 * model.classes) if in_span else longest * features + one
    return max(LEAST, CACHE // (4 * floats))


@dataclasses.dataclass(frozen=True)
class _Stack:
    """The replicas of one tile."""

    x: Tensor  # (n, …), shared: replicas read their own rows of it
    labels: Int[Tensor, "r m"]
    parts: Parts
    seeds: tuple[int, ...]


def _span(model: Model, recipe: Recipe, x: Tensor, parts: Parts) -> Span | None:
    """The model's span, where steps stay in it and that is less work."""
    longest = parts.rows.shape[1]
    # of a row's coefficient, a clipped gradient's length is not known
    fits = (
        recipe.optimizer == "sgd"
        and not recipe.clip_norm
        and recipe.batch_size >= longest
        and longest < x[0].numel()
    )
    return model.span if fits else None


def _train_in_span(span: Span, recipe: Recipe, own: _Stack) -> Params:
    x = own.x[own.parts.rows]
    products = span.products(x)
    params = span.start(x)
    optimizer = optimizers.build(recipe, {}, 1)
    slots = optimizer.init(params)
    share = _shares(own.parts.counts.to(x))
    for step in range(1, recipe.epochs + 1):
        logits, pull = span.forward(params, products)
        rest = losses.residual(logits, own.labels.T).mul_(share)
        optimizer.update(params, slots, step, _adding(pull, rest))
    return span.weights(params, x)


def _train(model: Model, recipe: Recipe, own: _Stack) -> Params:
    params = model.lay_own(_starts(model, own))
    batches = -(-own.parts.rows.shape[1] // recipe.batch_size)
    optimizer = optimizers.build(recipe, model.replica_axis, batches)
    slots = optimizer.init(params)
    for step, (places, counts) in enumerate(_batches(own, recipe), 1):
        rows = own.parts.rows.gather(1, places)
        logits, pull = model.forward_own(params, own.x[rows])
        rest = losses.residual(logits, own.labels.gather(1, places).T).mul_(_shares(counts.to(logits)))
        optimizer.update(params, slots, step, _adding(pull, rest))
    return params


def _starts(model: Model, own: _Stack) -> Params:
    """Every replica's own start; equal seeds start alike."""
    drawn = {seed: model.init(generator(seed, "init"), 1) for seed in set(own.seeds)}
    stacks = [drawn[seed] for seed in own.seeds]
    device = own.x.device
    return {
        name: torch.cat([one[name] for one in stacks], axis).to(device)
        for name, axis in model.replica_axis.items()
    }


def _batches(own: _Stack, recipe: Recipe) -> Iterator[tuple[Int[Tensor, "r b"], Float[Tensor, "r b"]]]:
    """Places in each replica's part, and which of them count; all replicas take a step at the same time."""
    longest = own.parts.rows.shape[1]
    batches = -(-longest // recipe.batch_size)
    if batches == 1:  # the order within a batch changes nothing
        everything = torch.arange(longest).expand(len(own.seeds), -1)
        yield from ((everything, own.parts.counts) for _ in range(recipe.epochs))
        return
    sizes = own.parts.sizes.tolist()
    for epoch in range(recipe.epochs):
        orders = [
            torch.randperm(size, generator=generator(seed, "batches", epoch))
            for seed, size in zip(own.seeds, sizes, strict=True)
        ]
        for batch in range(batches):
            taken = [order[_evenly(len(order), batch, batches)] for order in orders]
            yield _padded(taken)


def _evenly(size: int, batch: int, batches: int) -> slice:
    return slice(batch * size // batches, (batch + 1) * size // batches)


def _padded(taken: Sequence[Int[Tensor, " _"]]) -> tuple[Int[Tensor, "r b"], Float[Tensor, "r b"]]:
    longest = max(len(places) for places in taken)
    places = torch.zeros(len(taken), longest, dtype=torch.int64)
    counts = torch.zeros(len(taken), longest)
    for j, own in enumerate(taken):
        places[j, : len(own)] = own
        counts[j, : len(own)] = 1
    return places, counts


def _adding(pull: Pullback, rest: Float[Tensor, "b c r"]) -> optimizers.AddGradient:
    return lambda into, weight: pull(rest, into, weight)


def _shares(counts: Float[Tensor, "r b"]) -> Float[Tensor, "b 1 r"]:
    """A row's share of its replica's mean loss."""
    return (counts / counts.sum(1, keepdim=True).clamp(min=1)).T.unsqueeze(1)
