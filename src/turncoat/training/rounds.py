"""The attacker's turn: every group of like-minded replicas decides on its rows, and the flips are written."""

import dataclasses
from collections.abc import Iterator

import torch
from jaxtyping import Int
from torch import Tensor

from turncoat.attack.round import (
    Quota,
    Report,
    choose_flips,
    gradient_change,
    mean_gradient,
    report,
)
from turncoat.attack.selection import resolve
from turncoat.direction import Params, targeted, untargeted
from turncoat.federation.attacks import GRADIENT_ATTACKS
from turncoat.federation.aware import Trial, against_the_rule
from turncoat.models.stack import take
from turncoat.randomness import generator
from turncoat.threat import Threat
from turncoat.training.optimizers import Slots
from turncoat.training.task import RunState, Task


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows a round is about: all examples, or one batch; ``order`` is what write access is cut from."""

    x: Tensor
    y: Int[Tensor, " n"]
    order: Int[Tensor, " n"]
    sizes: Int[Tensor, " r"]  # |K| per replica
    blocks: tuple[tuple[int, int], ...] | None = (
        None  # the order's rows per hostile worker, each with its budget
    )
    sample: Int[Tensor, "t w b"] | None = None  # rounds of all workers on which an aware attacker tries flips


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a group of replicas did: their flips on the first rows of the order, and what came of it."""

    columns: Int[Tensor, " g"]
    members: Int[Tensor, " m"]
    labels: Int[Tensor, "m g"]
    report: Report


def access_order(task: Task, epoch: int, n: int, placement: str) -> Int[Tensor, " n"]:
    """The random order of all examples from whose start every replica of the seed cuts its write access."""
    turn = epoch if placement == "resampled" else 0
    return torch.randperm(n, generator=generator(task.seed, "access", turn)).to(task.x.device)


def groups(task: Task, state: RunState) -> Iterator[tuple[Threat, Int[Tensor, " g"]]]:
    """Replicas that decide alike, by falling write access; clean replicas belong to no group."""
    alike: dict[tuple[object, ...], list[int]] = {}
    threats = [task.threats[replica] for replica in state.alive.tolist()]
    for column, threat in enumerate(threats):
        if not threat.is_clean and threat.selection not in GRADIENT_ATTACKS:
            alike.setdefault(_kind(threat), []).append(column)
    for columns in alike.values():
        columns.sort(key=lambda column: -threats[column].write_access)
        yield threats[columns[0]], torch.tensor(columns, device=state.alive.device)


def decide(
    task: Task,
    state: RunState,
    threat: Threat,
    columns: Int[Tensor, " g"],
    rows: Rows,
    when: tuple[int, ...],
) -> Outcome:
    """One group's round: direction, scores, flips, and what they did to the gradient."""
    members = rows.order[: int(rows.sizes.max())]
    turn = _Turn(task, state, threat, columns, rows, members, when)
    model, axis = task.model, task.model.replica_axis
    server = take(state.params, columns, axis)
    honest_labels = rows.y.unsqueeze(1).expand(-1, len(columns))
    honest = mean_gradient(model, server, rows.x, honest_labels)
    toward = _direction(task, threat, server, honest)
    if task.kept is not None:
        new = task.kept[:, state.alive[columns]][members].to(rows.y.dtype)
    else:
        view = _attackers_view(turn, server, toward)
        aims_at_rule = threat.aware and task.crowd is not None and rows.sample is not None
        new = _against_the_rule(turn, view) if aims_at_rule else _choose(turn, view)
    old = honest_labels[members]
    change = gradient_change(model, server, rows.x, members, old, new, rows.sizes, len(rows.x))
    spent = (new != old).sum(0)
    return Outcome(columns, members, new, report(honest, change, toward, spent, axis))


@dataclasses.dataclass(frozen=True)
class _Turn:
    """Whose turn it is, on which rows, and when: what names the random draws of the round."""

    task: Task
    state: RunState
    threat: Threat
    columns: Int[Tensor, " g"]
    rows: Rows
    members: Int[Tensor, " m"]  # the rows that any of the group may write to
    when: tuple[int, ...]


def _choose(turn: _Turn, view: tuple[Params, Params], fraction: float = 1.0) -> Int[Tensor, "m g"]:
    """New labels of the group's rows, with this fraction of every budget."""
    task, rows = turn.task, turn.rows
    quotas = []
    for j, replica in enumerate(turn.state.alive[turn.columns].tolist()):
        for start, stop in rows.blocks or ((0, int(rows.sizes[j])),):
            most = task.threats[replica].allowance(stop - start)
            quotas.append(Quota(j, start, stop, int(fraction * most)))
    return choose_flips(
        resolve(turn.threat.selection),
        task.model,
        *view,
        rows.x,
        turn.members,
        rows.y[turn.members],
        quotas,
        rows.sizes,
        generator(task.seed, "selection", *turn.when),
    )


def _against_the_rule(turn: _Turn, view: tuple[Params, Params]) -> Int[Tensor, "m g"]:
    """The flips that move the server's true aggregate farthest, as far as the attacker tries."""
    task, rows = turn.task, turn.rows
    assert task.crowd is not None and rows.sample is not None
    rate = task.recipe.learning_rate
    trial = Trial(task.model, task.crowd, *view, rows.x, rows.y, rows.sample, turn.members, rate)
    return against_the_rule(trial, lambda share: _choose(turn, view, share))


def _direction(task: Task, threat: Threat, params: Params, honest: Params) -> Params:
    if threat.goal == "untargeted":
        return untargeted(honest)
    assert task.target is not None
    return targeted(params, task.target)


def _attackers_view(turn: _Turn, server: Params, toward: Params) -> tuple[Params, Params]:
    """The parameters the attacker looks at and its direction, as far as its knowledge goes."""
    task, state, threat, rows = turn.task, turn.state, turn.threat, turn.rows
    eyes, aim = server, toward
    if threat.knowledge != "omniscient":
        if threat.knowledge == "surrogate":
            assert state.eyes is not None
            eyes = take(state.eyes, turn.columns, task.model.replica_axis)
        labels = rows.y[turn.members].unsqueeze(1).expand(-1, len(turn.columns))
        own = mean_gradient(task.model, eyes, rows.x[turn.members], labels, rows.sizes)
        aim = _direction(task, threat, eyes, own)
    if threat.aware:
        known = state.eyes_slots if threat.knowledge == "surrogate" else state.slots
        assert known is not None
        slots: Slots = {k: take(v, turn.columns, task.model.replica_axis) for k, v in known.items()}
        aim = task.optimizer.precondition(aim, slots, state.step + 1)
    return eyes, aim


def _kind(threat: Threat) -> tuple[object, ...]:
    return (threat.goal, threat.selection, threat.knowledge, threat.placement, threat.aware)
