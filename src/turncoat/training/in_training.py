"""What a round's flips do to the objective in the mode in which models take their steps, where that is another."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

from turncoat.models.learned import residuals
from turncoat.models.stack import TrainingMode, dot, moved, take, zeros
from turncoat.training.choice import direction
from turncoat.training.steps import draws
from turncoat.training.task import Group, RunState, Task

SEEN = 10_000  # examples of the batches to come that are looked at, at most but for the last batch


class Batch(NamedTuple):
    """One batch of a step: its rows, its labels after the round, and what names its random numbers."""

    rows: Int[Tensor, " b"]
    labels: Integer[Tensor, "b r"]
    when: tuple[int, ...]


def upcoming(task: Task, state: RunState) -> Iterator[Batch]:
    """The batches that come next in this epoch, with the labels of the round and the steps' own random numbers."""
    assert state.labels is not None
    seen = 0
    for step, (_, rows) in enumerate(task.way.batches(task, state.epoch, state.row, 1), state.step + 1):
        labels = state.labels.index_select(0, rows.flatten()).unflatten(0, rows.shape)
        if rows.ndim == 2:
            yield Batch(rows[0], labels[0], (step,))
        else:
            everybody = torch.arange(rows.shape[1])
            yield from of_workers(rows[0], labels[0], everybody, step, task.recipe.batch_size)
        seen += rows.numel()
        if seen >= SEEN:
            return


def of_workers(
    rows: Int[Tensor, "w b"], labels: Integer[Tensor, "w b r"], who: Int[Tensor, " w"], step: int, size: int
) -> Iterator[Batch]:
    """The batches of these workers' local steps, of ``size`` examples each."""
    for worker, own, new in zip(who.tolist(), rows, labels, strict=True):
        for local, (part, its) in enumerate(zip(own.split(size), new.split(size), strict=True)):
            yield Batch(part, its, (step, worker, local))


def note_objectives(
    task: Task, state: RunState, group: Group, batches: Iterable[Batch], share: float | None = None
) -> None:
    """Write a group's objectives in training mode into the epoch's row, where the model has another mode."""
    mode = task.model.in_training
    if mode is None:
        return
    state.note_in_training(group.columns, objectives(task, mode, state, group, batches), share)


def objectives(
    task: Task, mode: TrainingMode, state: RunState, group: Group, batches: Iterable[Batch]
) -> tuple[Float[Tensor, " g"], Float[Tensor, " g"]]:
    """⟨-∇L, Δ⟩ before and after the flips, with the gradients of these batches as they are taken while training.

    An untargeted Δ is -∇L of the clean labels in that mode too. Parameters and statistics stay as they are.
    """
    model, axis = task.model, task.model.replica_axis
    params = take(state.params, group.columns, axis)
    before, after, count = zeros(moved(model, params)), zeros(moved(model, params)), 0
    for rows, labels, when in batches:
        x, new = task.x.index_select(0, rows), labels[:, group.columns]
        old = task.y.index_select(0, rows).to(new.dtype).unsqueeze(1).expand_as(new)
        seeds = draws(task, state, *when)
        logits, pull, _ = mode.forward(params, x, [seeds[j] for j in group.columns.tolist()], True)
        for own, into in ((old, before), (new, after)):
            pull(residuals(model, params, x, logits, own), into, 1.0)
        count += len(rows)
    for value in (*before.values(), *after.values()):
        value.div_(count)
    toward = direction(task, group.threats[0], params, before)
    return -dot(before, toward, axis), -dot(after, toward, axis)
