"""The attacker's turn: every group of like-minded replicas decides on its rows, and what came of it is reported."""

import dataclasses
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from turncoat.attack.names import is_planned
from turncoat.attack.rivals import depends_on_access
from turncoat.attack.round import Report, gradient_change, mean_gradient, report
from turncoat.attack.selection import Selection, resolve
from turncoat.direction import Params
from turncoat.federation.attacks import GRADIENT_ATTACKS
from turncoat.federation.names import imitated
from turncoat.models.stack import take
from turncoat.randomness import generator
from turncoat.threat import Threat
from turncoat.training.choice import Turn, chosen_labels, direction
from turncoat.training.task import Group, Rows, RunState, Task

LAID_OUT = 256 << 20  # bytes of features that are copied for a round


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a group of replicas did: their flips on the first rows of the order, and what came of it."""

    columns: Int[Tensor, " g"]
    members: Int[Tensor, " m"]
    labels: Int[Tensor, "m g"]
    report: Report

    def write(self, labels: Tensor) -> None:
        """Put the flips into labels (n, r) of all rows and replicas."""
        labels[self.members.unsqueeze(1), self.columns] = self.labels.to(labels.dtype)


def access_order(task: Task, epoch: int, n: int, placement: str) -> Int[Tensor, " n"]:
    """The random order of all examples from whose start every replica of the seed cuts its write access."""
    turn = epoch if placement == "resampled" else 0
    return torch.randperm(n, generator=generator(task.seed, "access", turn)).to(task.x.device)


def rank_in(order: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Where every example stands in the order."""
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    return rank


def groups(task: Task, state: RunState) -> Iterator[Group]:
    """Every group of the stack; clean replicas, and those that forge messages, belong to none."""
    alike: dict[tuple[object, ...], list[int]] = {}
    threats = [task.threats[replica] for replica in state.alive.tolist()]
    for column, threat in enumerate(threats):
        if not threat.is_clean and threat.selection not in GRADIENT_ATTACKS:
            alike.setdefault(_kind(threat), []).append(column)
    for columns in alike.values():
        columns.sort(key=lambda column: -threats[column].write_access)
        own = tuple(threats[column] for column in columns)
        yield Group(own, torch.tensor(columns, device=state.alive.device))


def strikes(task: Task, threat: Threat, epoch: int) -> bool:
    """Whether the attacker flips in this epoch."""
    return not threat.last_rounds or epoch >= task.recipe.epochs - threat.last_rounds


def decide_all(
    task: Task, state: RunState, turns: Sequence[tuple[Group, Rows]], when: tuple[int, ...]
) -> Iterator[tuple[Group, Outcome]]:
    """The rounds of several groups, which read the same rows together where they can."""
    turns = _read_once(task, turns)
    gradients = {}
    for x in {id(rows.x): rows.x for _, rows in turns}.values():
        mine = [(group, rows) for group, rows in turns if rows.x is x]
        columns = torch.cat([group.columns for group, _ in mine])
        labels = mine[0][1].y.unsqueeze(1).expand(-1, len(columns))
        server = take(state.params, columns, task.model.replica_axis)
        gradients[id(x)] = columns, mean_gradient(task.model, server, x, labels)
    for group, rows in turns:
        columns, gradient = gradients[id(rows.x)]
        places = (group.columns.unsqueeze(1) == columns).nonzero()[:, 1]
        honest = take(gradient, places, task.model.replica_axis)
        yield group, decide(task, state, group, rows, when, honest)


def _read_once(task: Task, turns: Sequence[tuple[Group, Rows]]) -> list[tuple[Group, Rows]]:
    """Rows that several groups score in the same order, laid out in it if they are not too many."""
    scoring = [(group, rows) for group, rows in turns if _reads_all(task, group.threats[0])]
    laid: dict[int, Tensor] = {}
    for group, rows in scoring:
        alike = [
            (other, same)
            for other, same in scoring
            if same.x is rows.x and torch.equal(same.order, rows.order)
        ]
        most = max(int(same.sizes.max()) for _, same in alike)
        if len(alike) == 1 or most * rows.x[0].nbytes > LAID_OUT:
            continue
        first = id(alike[0][0])
        laid[id(group)] = laid[first] if first in laid else rows.x.index_select(0, rows.order[:most])
    return [(group, dataclasses.replace(rows, own=laid.get(id(group)))) for group, rows in turns]


def _reads_all(task: Task, threat: Threat) -> bool:
    """Whether the attacker looks at all rows that it may write to, to score their labels."""
    if task.kept is not None or is_planned(threat.selection) or imitated(threat.selection):
        return False
    rule = resolve(threat.selection, threat.write_access)
    return not (isinstance(rule, Selection) and rule.needs == "nothing")


def decide(
    task: Task,
    state: RunState,
    group: Group,
    rows: Rows,
    when: tuple[int, ...],
    honest: Params | None = None,
) -> Outcome:
    """One group's round: direction, scores, flips, and what they did to the gradient.

    ``honest`` is the replicas' mean gradient over all rows, where somebody has taken it.
    """
    columns = group.columns
    members = rows.order[: int(rows.sizes.max())]
    model, axis = task.model, task.model.replica_axis
    server = take(state.params, columns, axis)
    honest_labels = rows.y.unsqueeze(1).expand(-1, len(columns))
    if honest is None:
        honest = mean_gradient(model, server, rows.x, honest_labels)
    toward = direction(task, group.threats[0], server, honest)
    turn = Turn(task, state, group.threats, columns, rows, members, when)
    new = chosen_labels(turn, server, toward)
    old = honest_labels[members]
    change = gradient_change(model, server, *rows.to_read(members), old, new, rows.sizes, len(rows.x))
    spent = (new != old).sum(0)
    return Outcome(columns, members, new, report(honest, change, toward, spent, axis))


def _kind(threat: Threat) -> tuple[object, ...]:
    access = threat.write_access if depends_on_access(threat.selection) else None
    return (
        threat.goal, threat.selection, threat.knowledge, threat.placement, threat.aware, threat.last_rounds, access
    )  # fmt: skip
