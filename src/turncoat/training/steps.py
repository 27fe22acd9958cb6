"""The step of whoever holds the data together: where logits and labels become a residual, and that a step."""

import dataclasses
from typing import NamedTuple

from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor

from turncoat.defences import gold
from turncoat.defences.guard import Guard
from turncoat.direction import Params
from turncoat.fields import written
from turncoat.losses import without
from turncoat.models.learned import residuals
from turncoat.models.stack import Model, Pullback, moved
from turncoat.randomness import generator
from turncoat.training.optimizers import Slots
from turncoat.training.task import RunState, Task


class Seen(NamedTuple):
    """A forward pass that somebody has taken already: logits, how to pull a residual back, and perhaps the softmax."""

    logits: Tensor
    pull: Pullback
    shares: Tensor | None = None  # the step may overwrite it


def server_step(
    task: Task,
    state: RunState,
    rows: Int[Tensor, " b"],
    x: Tensor,
    labels: Integer[Tensor, "b r"],
    seen: Seen | None = None,
) -> None:
    """One optimizer step of every replica on the same examples, each with its own labels.

    ``seen`` is the forward pass at these parameters, where somebody has taken it already.
    """
    state.step += 1
    model, fresh = _as_it_trains(task, state)
    if task.guard is None:
        logits, pull, shares = seen or Seen(*model.forward(state.params, x))
        if shares is not None and model.loss.plain:
            rest = without(shares, labels)
        else:
            rest = residuals(model, state.params, x, logits, labels)
        size = len(x)
    else:
        rest, pull = _guarded(task, model, task.guard, state, rows, x, labels)
        size = 1
    _update(task, moved(model, state.params), state.slots, state.step, pull, rest, size)
    for name, value in fresh.items():
        state.params[name].copy_(value)


def _as_it_trains(task: Task, state: RunState) -> tuple[Model, Params]:
    """The model with the forward pass of this step; and the statistics, which are there after that pass alone."""
    mode, fresh = task.model.in_training, Params()
    if mode is None:
        return task.model, fresh

    def forward(params: Params, x: Tensor) -> tuple[Tensor, Pullback]:
        logits, pull, after = mode.forward(params, x, draws(task, state, state.step))
        fresh.update(after)
        return logits, pull

    return dataclasses.replace(task.model, forward=forward), fresh


def draws(task: Task, state: RunState, step: int, *worker: int) -> list[int]:
    """A seed for each replica's random numbers in a step, whatever other replicas its stack has.

    In a federation ``worker`` is which worker's, and which of its local steps.
    """
    threats = [task.threats[replica] for replica in state.alive.tolist()]
    return [
        generator(task.seed, "in training", step, written(threat), *worker).initial_seed()
        for threat in threats
    ]


def _guarded(
    task: Task,
    model: Model,
    guard: Guard,
    state: RunState,
    rows: Int[Tensor, " b"],
    x: Tensor,
    labels: Integer[Tensor, "b r"],
) -> tuple[Float[Tensor, "m c r"], Pullback]:
    """Residuals that sum up to the gradient of a learner that does not trust all labels alike."""
    if guard.filters and state.counted is None:  # once a round, and again after a cut
        assert state.labels is not None
        state.counted = guard.counted(guard.repaired(state.labels, task.y))
    known = None
    if guard.gold is not None:
        own = gold.batch(guard.gold, task.seed, state.step)
        known = task.x.index_select(0, own), task.y.index_select(0, own)
    counted = None if state.counted is None else state.counted.index_select(0, rows)
    labels = guard.repaired(labels, task.y.index_select(0, rows), rows)
    return guard.gradient(model, state.params, x, labels, counted, known)


def attackers_step(
    task: Task, state: RunState, rows: Int[Tensor, " b"], x: Tensor, seen: Seen | None = None
) -> None:
    """The attacker's own model takes the same step on its own part of the batch, with honest labels."""
    if state.eyes is None or state.eyes_slots is None or state.inside is None:
        return
    if not len(
        rows
    ):  # a federation's round in which none of its workers takes part: its model has seen nothing
        return
    logits, pull, _ = seen or Seen(*task.model.forward(state.eyes, x))
    labels = task.y.index_select(0, rows).unsqueeze(1).expand(-1, len(state.alive))
    rest = residuals(task.model, state.eyes, x, logits, labels)
    rest = rest * shares_inside(state.inside.index_select(0, rows))
    _update(task, state.eyes, state.eyes_slots, state.step, pull, rest, 1)


def shares_inside(inside: Bool[Tensor, "b r"]) -> Float[Tensor, "b 1 r"]:
    """The share in a batch of each example that the attacker may write to, and so knows."""
    return (inside / inside.sum(0).clamp(min=1)).unsqueeze(1)


def _update(
    task: Task, params: Params, slots: Slots, step: int, pull: Pullback, rest: Tensor, size: int
) -> None:
    def add(into: Params, weight: float) -> None:
        pull(rest, into, weight / size)

    task.optimizer.update(params, slots, step, add)
