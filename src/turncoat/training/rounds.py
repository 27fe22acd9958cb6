"""The attacker's turn: every group of like-minded replicas decides on its rows, and what came of it is reported."""

import dataclasses
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from turncoat.attack.rivals import depends_on_access
from turncoat.attack.round import Report, gradient_change, mean_gradient, report
from turncoat.federation.attacks import GRADIENT_ATTACKS
from turncoat.models.stack import take
from turncoat.randomness import generator
from turncoat.threat import Threat
from turncoat.training.choice import Turn, chosen_labels, direction
from turncoat.training.task import Group, Rows, RunState, Task


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


def writable(threats: Sequence[Threat], n: int, device: torch.device) -> Int[Tensor, " g"]:
    """|K| of each threat, of ``n`` examples."""
    return torch.tensor([threat.writable(n) for threat in threats], device=device)


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


def decide(task: Task, state: RunState, group: Group, rows: Rows, when: tuple[int, ...]) -> Outcome:
    """One group's round: direction, scores, flips, and what they did to the gradient."""
    columns = group.columns
    members = rows.order[: int(rows.sizes.max())]
    model, axis = task.model, task.model.replica_axis
    server = take(state.params, columns, axis)
    honest_labels = rows.y.unsqueeze(1).expand(-1, len(columns))
    honest = mean_gradient(model, server, rows.x, honest_labels)
    toward = direction(task, group.threats[0], server, honest)
    turn = Turn(task, state, group.threats, columns, rows, members, when)
    new = chosen_labels(turn, server, toward)
    old = honest_labels[members]
    change = gradient_change(model, server, rows.x, members, old, new, rows.sizes, len(rows.x))
    spent = (new != old).sum(0)
    return Outcome(columns, members, new, report(honest, change, toward, spent, axis))


def _kind(threat: Threat) -> tuple[object, ...]:
    access = threat.write_access if depends_on_access(threat.selection) else None
    return (
        threat.goal, threat.selection, threat.knowledge, threat.placement, threat.aware, threat.last_rounds, access
    )  # fmt: skip
