"""The pooled way: one server trains on all data, mini-batch by mini-batch."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from turncoat.attack.names import is_planned
from turncoat.federation.visibility import SIGNS
from turncoat.randomness import generator
from turncoat.threat import Threat, rounds_in_epoch
from turncoat.training.in_batch import Batch, decide_in_batch, look, suits
from turncoat.training.in_training import Batch as Step
from turncoat.training.in_training import note_objectives
from turncoat.training.rounds import access_order, decide, groups, rank_in, strikes
from turncoat.training.steps import Seen, attackers_step, server_step
from turncoat.training.task import Group, Rows, RunState, Task


@dataclasses.dataclass(frozen=True)
class Pooled:
    """All data on one server; a ``Way``."""

    @property
    def repeats(self) -> bool:
        """Yes: a step is a forward pass, a pull back and an update, whatever the rows."""
        return True

    def steps(self, task: Task) -> int:
        """As many as there are mini-batches; the last may be small."""
        return -(-len(task.x) // task.recipe.batch_size)

    def batches(self, task: Task, epoch: int, done: int, many: int) -> Iterator[tuple[int, Tensor]]:
        """Mini-batches in a new order, ``many`` full ones at a time (many, b), or one."""
        n, size = len(task.x), task.recipe.batch_size
        order = torch.randperm(n, generator=generator(task.seed, "batches", epoch)).to(task.x.device)
        while done < n:
            count = many if n - done >= many * size else 1
            end = min(done + count * size, n)
            yield end, order[done:end].view(count, -1)
            done = end

    def turns(self, task: Task) -> tuple[int, ...]:
        """The rows of an epoch before which the attackers decide, each at the start of a mini-batch."""
        n, size = len(task.x), task.recipe.batch_size
        rounds = min(rounds_in_epoch(task.schedule), self.steps(task))
        return tuple(size * (self.steps(task) * turn // rounds) for turn in range(rounds)) if n else (0,)

    def pool(self, task: Task, threats: Sequence[Threat], epoch: int) -> Rows:
        """All examples, in the random order from whose start every threat cuts its share."""
        n = len(task.y)
        # flips chosen once stay where they were put
        placement = "fixed" if threats[0].schedule == "once" else threats[0].placement
        order = access_order(task, epoch, n, placement)
        # a plan's scores are of the features as it was made with
        x = task.x if is_planned(threats[0].selection) else task.fed
        sizes = torch.tensor([threat.writable(n) for threat in threats], device=task.x.device)
        return Rows(x, task.y, order, sizes)

    def server(self, task: Task, threats: Sequence[Threat]) -> None:
        """No workers, so no messages to plan for."""

    def step(self, task: Task, state: RunState, rows: Int[Tensor, " b"]) -> None:
        """One step on a mini-batch, with the attacker's turn in it or with the labels of the round."""
        take = attacked_step if task.schedule == "step" else plain_step
        take(task, state, rows)

    def samples(self, replicas: int) -> np.ndarray:
        """No messages, so nothing to look at."""
        return np.zeros((0, replicas, 0, len(SIGNS)))


def plain_step(task: Task, state: RunState, rows: Int[Tensor, " b"]) -> None:
    """One optimizer step of every replica on the same examples, with the labels of the round."""
    assert state.labels is not None
    x = task.fed.index_select(0, rows)
    server_step(task, state, rows, x, state.labels.index_select(0, rows))
    attackers_step(task, state, rows, x)


def attacked_step(task: Task, state: RunState, rows: Int[Tensor, " b"]) -> None:
    """One step with the attacker's turn inside it: its rows are a share of this batch alone."""
    x, y = task.fed.index_select(0, rows), task.y.index_select(0, rows)
    # both forward passes serve the turn as well as the step
    server = None if task.model.in_training is not None else Seen(*task.model.forward(state.params, x))
    eyes = None if state.eyes is None else Seen(*task.model.forward(state.eyes, x))
    batch = None
    if server is not None and task.model.span is not None and task.model.loss.plain:
        batch = look(task, x, y, server.logits, None if eyes is None else eyes.logits)
        server = server._replace(shares=batch.shares)
    labels = attacked_labels(task, state, rows, x, y, batch)
    server_step(task, state, rows, x, labels, server)
    attackers_step(task, state, rows, x, eyes)


def attacked_labels(
    task: Task,
    state: RunState,
    rows: Int[Tensor, " b"],
    x: Tensor,
    y: Int[Tensor, " b"],
    batch: Batch | None,
) -> Int[Tensor, "b r"]:
    """The attacker's turn: a batch's labels after all groups' flips, and in the epoch's row what came of them."""
    labels = y.unsqueeze(1).expand(-1, len(state.alive)).clone(memory_format=torch.contiguous_format)
    share = len(rows) / len(task.x)
    if state.groups is None:
        state.groups = tuple(groups(task, state))
    for group in state.groups:
        if not strikes(task, group.threats[0], state.epoch):
            continue
        order, sizes = _cut(task, state, group, rows)
        if state.inside is not None:  # the attacker's own model learns from this batch's share alone
            first = torch.arange(len(rows), device=rows.device).unsqueeze(1) < sizes
            state.inside[rows[order].unsqueeze(1), group.columns] = first
        when = (state.epoch, state.row)
        if batch is not None and suits(task, group.threats[0], len(rows)):
            outcome = decide_in_batch(task, group, batch, order, sizes, when)
        else:
            outcome = decide(task, state, group, Rows(x, y, order, sizes), when)
        outcome.write(labels)
        state.note(outcome.columns, outcome.report, share)
        note_objectives(task, state, group, (Step(rows, labels, (state.step + 1,)),), share)
    return labels


def _cut(
    task: Task, state: RunState, group: Group, rows: Int[Tensor, " b"]
) -> tuple[Int[Tensor, " b"], Int[Tensor, " g"]]:
    """The batch's rows in the order from which write access is cut, and how many of them each replica owns."""
    placement = group.threats[0].placement
    if placement == "resampled":  # a batch is drawn at random, so its first rows are a random share of it
        return torch.arange(len(rows), device=rows.device), group.writable(len(rows))
    n = len(task.y)
    if state.ranks is None:
        state.ranks = rank_in(access_order(task, 0, n, placement))
    ranks, order = state.ranks[rows].sort()
    return order, torch.searchsorted(ranks, group.writable(n))
