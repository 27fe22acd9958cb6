"""The loop in which attack and training alternate, for a whole stack of replicas at once."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from turncoat.direction import Params
from turncoat.federation.aware import seen
from turncoat.losses import residual
from turncoat.models.stack import Pullback, take
from turncoat.randomness import generator
from turncoat.threat import Threat
from turncoat.training import replay
from turncoat.training.evaluate import evaluate, mean_loss
from turncoat.training.federated import federated_step
from turncoat.training.rounds import Rows, access_order, decide, groups
from turncoat.training.task import CURVES, RunState, Task, label_dtype

FLIPS = CURVES.index("flips")


def advance(task: Task, state: RunState, watch: Callable[[], None] | None = None) -> Iterator[int]:
    """Train to the end, yielding after every step, or every few, how many replicas took it, times the steps.

    At every yield ``state`` holds all that is needed to go on; ``watch`` is called once before each epoch.
    """
    by_step = task.schedule == "step"
    if task.crowd is not None:
        take_step = _federated
    else:
        take_step = attacked_step if by_step else plain_step
    many = replay.STEPS if replay.suits(task) else 1
    player: replay.Replay | None = None
    while state.epoch < task.recipe.epochs and len(state.alive):
        if state.row == 0:
            if watch is not None:
                watch()
            begin_epoch(task, state, by_step)
        for end, rows in _batches(task, state.epoch, state.row, many):
            if len(rows) == 1:
                take_step(task, state, rows[0])
            else:
                if player is not None and not player.fits(state):
                    player = None  # before the next one is made: see replay.cuda_graph
                if player is None:
                    player = replay.Replay(task, state, take_step, replay.cuda_graph)
                player(state, rows)
            state.row = end
            yield len(state.alive) * len(rows)
        finish_epoch(task, state)


def begin_epoch(task: Task, state: RunState, by_step: bool) -> None:
    """With schedules "epoch" and "once": the attacker's turn. Labels are clean before it."""
    n, replicas = len(task.y), len(state.alive)
    state.labels = task.y.to(label_dtype(task.model.classes)).unsqueeze(1).repeat(1, replicas)
    alive = state.alive.cpu().numpy()
    state.curves[state.epoch][alive, FLIPS:] = (0, np.nan, np.nan, 1)
    if by_step:  # objectives are summed up over the epoch's rounds
        attacked = [replica for replica in alive if not task.threats[replica].is_clean]
        state.curves[state.epoch][attacked, FLIPS + 1 : FLIPS + 3] = 0
    if state.eyes is not None:
        state.inside = torch.zeros(n, replicas, dtype=torch.bool, device=task.y.device)
    for threat, columns in groups(task, state):
        pool = _pool(task, state, threat, columns)
        order, sizes = pool.order, pool.sizes
        if state.inside is not None:
            rank = torch.empty_like(order)
            rank[order] = torch.arange(n, device=order.device)
            state.inside[:, columns] = rank.unsqueeze(1) < sizes
        if by_step:
            continue
        outcome = decide(task, state, threat, columns, pool, (state.epoch,))
        state.labels[outcome.members.unsqueeze(1), columns] = outcome.labels.to(state.labels.dtype)
        state.note(outcome.columns, outcome.report)


def _pool(task: Task, state: RunState, threat: Threat, columns: Int[Tensor, " g"]) -> Rows:
    """All examples, the attacker's first: its workers' shards, or a random share of everything."""
    n = len(task.y)
    if task.crowd is not None:
        blocks = task.crowd.blocks
        sizes = torch.full((len(columns),), blocks[-1][1] if blocks else 0, device=columns.device)
        sample = None
        if threat.aware:
            rounds = task.crowd.epoch(task.seed, state.epoch)
            sample = seen(rounds, task.crowd.federation.hostile, threat.knowledge)
        return Rows(task.x, task.y, task.crowd.order, sizes, blocks, sample)
    # flips chosen once stay where they were put
    placement = threat.placement if task.kept is None else "fixed"
    return Rows(
        task.x, task.y, access_order(task, state.epoch, n, placement), _sizes(task, state, columns, n)
    )


def _batches(task: Task, epoch: int, done: int, many: int) -> Iterator[tuple[int, Tensor]]:
    """An epoch's batches from ``done`` on, ``many`` full ones at a time or one; and the state's ``row`` after them."""
    if task.crowd is not None:
        rounds = task.crowd.epoch(task.seed, epoch)
        yield from ((t + 1, rounds[t : t + 1]) for t in range(done, len(rounds)))
        return
    n, size = len(task.x), task.recipe.batch_size
    order = torch.randperm(n, generator=generator(task.seed, "batches", epoch)).to(task.x.device)
    while done < n:
        count = many if n - done >= many * size else 1
        end = min(done + count * size, n)
        yield end, order[done:end].view(count, -1)
        done = end


def _federated(task: Task, state: RunState, rows: Int[Tensor, "w b"]) -> None:
    federated_step(task, state, rows)
    if task.crowd is not None and state.eyes is not None:
        own = rows[: task.crowd.federation.hostile].flatten()
        _surrogate_step(task, state, own, task.x.index_select(0, own))


def plain_step(task: Task, state: RunState, rows: Int[Tensor, " b"]) -> None:
    """One optimizer step of every replica on the same examples, each with its own labels."""
    assert state.labels is not None
    x = task.x.index_select(0, rows)
    logits, pull = task.model.forward(state.params, x)
    rest = residual(logits, state.labels.index_select(0, rows))
    _update(task, state, pull, rest, len(rows))
    _surrogate_step(task, state, rows, x)


def attacked_step(task: Task, state: RunState, rows: Int[Tensor, " b"]) -> None:
    """One step with the attacker's turn inside it: its rows are a share of this batch alone."""
    x, y = task.x.index_select(0, rows), task.y.index_select(0, rows)
    labels = y.unsqueeze(1).repeat(1, len(state.alive))
    share = len(rows) / len(task.x)
    for threat, columns in groups(task, state):
        order, sizes = _cut(task, state, threat.placement, columns, rows)
        if state.inside is not None:  # the attacker's own model learns from this batch's share alone
            first = torch.arange(len(rows), device=rows.device).unsqueeze(1) < sizes
            state.inside[rows[order].unsqueeze(1), columns] = first
        batch = Rows(x, y, order, sizes)
        outcome = decide(task, state, threat, columns, batch, (state.epoch, state.row))
        labels[outcome.members.unsqueeze(1), columns] = outcome.labels
        state.note(outcome.columns, outcome.report, share)
    logits, pull = task.model.forward(state.params, x)
    _update(task, state, pull, residual(logits, labels), len(rows))
    _surrogate_step(task, state, rows, x)


def finish_epoch(task: Task, state: RunState) -> None:
    """Evaluate, write the epoch's row, and drop the replicas that stop early."""
    accuracy, f1, loss = evaluate(task.model, state.params, task.x_test, task.y_test)
    alive = state.alive.cpu().numpy()
    state.curves[state.epoch][alive, :3] = torch.stack([accuracy, f1, loss], 1).cpu().numpy()
    state.epoch += 1
    state.row = 0
    state.labels = state.inside = None
    if task.recipe.patience:
        _stop_early(task, state)


def keep(task: Task, state: RunState, columns: Int[Tensor, " r"]) -> None:
    """Shrink the stack to these replicas; the others keep what is written of them and cost nothing more."""
    axis = task.model.replica_axis
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


def _update(task: Task, state: RunState, pull: Pullback, rest: Tensor, size: int) -> None:
    state.step += 1

    def add(into: Params, weight: float) -> None:
        pull(rest, into, weight / size)

    task.optimizer.update(state.params, state.slots, state.step, add)


def _surrogate_step(task: Task, state: RunState, rows: Int[Tensor, " b"], x: Tensor) -> None:
    """The attacker's own model takes the same step on its own part of the batch, with honest labels."""
    if state.eyes is None or state.eyes_slots is None or state.inside is None:
        return
    logits, pull = task.model.forward(state.eyes, x)
    own = state.inside.index_select(0, rows)
    labels = task.y.index_select(0, rows).unsqueeze(1).expand(-1, len(state.alive))
    weight = own / own.sum(0).clamp(min=1)
    rest = residual(logits, labels) * weight.unsqueeze(1)
    task.optimizer.update(state.eyes, state.eyes_slots, state.step, lambda into, w: pull(rest, into, w))


def _sizes(task: Task, state: RunState, columns: Int[Tensor, " g"], n: int) -> Int[Tensor, " g"]:
    sizes = [task.threats[replica].writable(n) for replica in state.alive[columns].tolist()]
    return torch.tensor(sizes, device=columns.device)


def _cut(
    task: Task, state: RunState, placement: str, columns: Int[Tensor, " g"], rows: Int[Tensor, " b"]
) -> tuple[Int[Tensor, " b"], Int[Tensor, " g"]]:
    """The batch's rows in the order from which write access is cut, and how many of them each replica owns."""
    if placement == "resampled":  # a batch is drawn at random, so its first rows are a random share of it
        return torch.arange(len(rows), device=rows.device), _sizes(task, state, columns, len(rows))
    n = len(task.y)
    order = access_order(task, 0, n, placement)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(n, device=order.device)
    ranks = rank[rows]
    owned = (ranks.unsqueeze(1) < _sizes(task, state, columns, n)).sum(0)
    return ranks.argsort(), owned
