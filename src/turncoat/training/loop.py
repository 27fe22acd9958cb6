"""The loop in which attack and training alternate, for a whole stack of replicas at once."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.metrics import tail
from turncoat.models.stack import take
from turncoat.randomness import generator
from turncoat.training import blocks, replay
from turncoat.training.evaluate import evaluate, mean_loss
from turncoat.training.in_training import note_objectives, upcoming
from turncoat.training.rounds import decide_all, groups, rank_in, strikes
from turncoat.training.task import CURVES, IN_TRAINING, Group, Rows, RunState, Task, label_dtype

FLIPS = CURVES.index("flips")
LEARNED = CURVES.index("train_accuracy")
LOOKED_AT = 10_000  # training examples on which accuracy is measured


def advance(task: Task, state: RunState, watch: Callable[[], None] | None = None) -> Iterator[int]:
    """Train to the end, yielding after every step, or every few, how many replicas took it, times the steps.

    At every yield ``state`` holds all that is needed to go on; ``watch`` is called once before each epoch.
    """
    kept: list[replay.Replay] = []
    while state.epoch < task.recipe.epochs and len(state.alive):
        if watch is not None and state.row == 0:
            watch()
        yield from one_epoch(task, state, kept)


def one_epoch(task: Task, state: RunState, kept: list[replay.Replay] | None = None) -> Iterator[int]:
    """Train to the end of the epoch that ``state`` is in; ``kept`` holds what was recorded of its steps, if anything.

    Nobody else may hold it: a recording is let go before the next is made, see ``replay.cuda_graph``.
    """
    kept = [] if kept is None else kept
    recorded = replay.suits(task)
    many = replay.STEPS if recorded else blocks.steps(task, state)
    turns = {row: turn for turn, row in enumerate(task.way.turns(task))}
    if state.row == 0:
        begin_epoch(task, state)
    for end, rows in task.way.batches(task, state.epoch, state.row, many):
        if state.row and state.row in turns:
            begin_round(task, state, turns[state.row], len(turns))
        if len(rows) == 1:
            task.way.step(task, state, rows[0])
        elif not recorded:
            blocks.take(task, state, rows)
        else:
            if kept and not kept[0].fits(state):
                kept.clear()
            if not kept:
                kept.append(replay.Replay(task, state, replay.cuda_graph))
            kept[0](state, rows)
        state.row = end
        yield len(state.alive) * len(rows)
    finish_epoch(task, state)


def begin_epoch(task: Task, state: RunState) -> None:
    """Labels are clean; then, with schedules "epoch" and "once", it is the attacker's turn."""
    n, replicas = len(task.y), len(state.alive)
    state.labels = task.y.to(label_dtype(task.model.classes)).unsqueeze(1).repeat(1, replicas)
    alive = state.alive.cpu().numpy()
    state.curves[state.epoch][alive, FLIPS:LEARNED] = (0, np.nan, np.nan, 1)
    in_steps, rounds = task.schedule == "step", len(task.way.turns(task))
    if in_steps or rounds > 1:  # objectives are summed up over the epoch's rounds
        attacked = [
            replica for replica in alive
            if not task.threats[replica].is_clean and strikes(task, task.threats[replica], state.epoch)
        ]  # fmt: skip
        state.curves[state.epoch][attacked, FLIPS + 1 : FLIPS + 3] = 0
        if task.model.in_training is not None:
            state.curves[state.epoch][attacked, IN_TRAINING] = 0
    if state.eyes is not None:
        state.inside = torch.zeros(n, replicas, dtype=torch.bool, device=task.y.device)
    if not in_steps:
        begin_round(task, state, 0, rounds)
    elif state.inside is not None:
        for group in groups(task, state):
            _stand(state, group, task.way.pool(task, group.threats, state.epoch))


def begin_round(task: Task, state: RunState, turn: int, rounds: int) -> None:
    """The attackers' turn, one of so many in an epoch: from clean labels, on all rows."""
    assert state.labels is not None
    if turn:
        state.labels = task.y.to(state.labels.dtype).unsqueeze(1).repeat(1, len(state.alive))
        state.counted = None
    number = state.epoch * rounds + turn
    turns = []
    for group in groups(task, state):
        pool = task.way.pool(task, group.threats, number)
        _stand(state, group, pool)
        if strikes(task, group.threats[0], state.epoch):
            turns.append((group, pool))
    for group, outcome in decide_all(task, state, turns, (number,)):
        outcome.write(state.labels)
        told, share = outcome.report, None if rounds == 1 else 1 / rounds
        if share is not None:
            told = dataclasses.replace(told, flips=told.flips / rounds)
        state.note(outcome.columns, told, share)
        note_objectives(task, state, group, upcoming(task, state), share)


def _stand(state: RunState, group: Group, pool: Rows) -> None:
    """Which rows the attackers' own models learn from."""
    if state.inside is not None:
        state.inside[:, group.columns] = rank_in(pool.order).unsqueeze(1) < pool.sizes


def finish_epoch(task: Task, state: RunState) -> None:
    """Evaluate, write the epoch's row, and drop the replicas that stop early."""
    accuracy, f1, loss = evaluate(task.model, state.params, task.x_test, task.y_test)
    alive = state.alive.cpu().numpy()
    state.curves[state.epoch][alive, :3] = torch.stack([accuracy, f1, loss], 1).cpu().numpy()
    recipe = task.recipe
    if recipe.patience or state.epoch >= recipe.epochs - tail(recipe.epochs):
        state.curves[state.epoch][alive, LEARNED] = learned(task, state).cpu().numpy()
    state.epoch += 1
    state.row = 0
    state.labels = state.inside = state.counted = None
    if task.recipe.patience:
        _stop_early(task, state)


def learned(task: Task, state: RunState) -> Float[Tensor, " r"]:
    """Accuracy on training data with clean labels: what an attack may be chosen by, as the test set may not."""
    return evaluate(task.model, state.params, *looked_at(task))[0]


def looked_at(task: Task) -> tuple[Tensor, Int[Tensor, " m"]]:
    """Training examples, or some of them drawn at random, with their clean labels."""
    if len(task.y) <= LOOKED_AT:
        return task.x, task.y
    rows = torch.randperm(len(task.y), generator=generator(task.seed, "looked at"))[:LOOKED_AT]
    rows = rows.to(task.y.device)
    return task.x[rows], task.y[rows]


def keep(task: Task, state: RunState, columns: Int[Tensor, " r"]) -> None:
    """Shrink the stack to these replicas; the others keep what is written of them and cost nothing more."""
    axis = task.model.replica_axis
    state.groups = None
    state.params = take(state.params, columns, axis)
    state.slots = {name: take(slot, columns, axis) for name, slot in state.slots.items()}
    if state.eyes is not None and state.eyes_slots is not None:
        state.eyes = take(state.eyes, columns, axis)
        state.eyes_slots = {name: take(slot, columns, axis) for name, slot in state.eyes_slots.items()}
    if state.memory is not None:
        state.memory = state.memory[columns]
    state.alive, state.best, state.waited = (v[columns] for v in (state.alive, state.best, state.waited))


def _stop_early(task: Task, state: RunState) -> None:
    loss = mean_loss(task.model, state.params, task.x_held, task.y_held)
    better = loss < state.best
    state.best = torch.where(better, loss, state.best)
    state.waited = torch.where(better, 0, state.waited + 1)
    going = (state.waited < task.recipe.patience).nonzero().squeeze(1)
    if len(going) == 0:
        state.alive = going  # the last parameters stay: an attacker's target is read from them
    elif len(going) < len(state.alive):
        keep(task, state, going)
