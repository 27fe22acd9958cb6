"""The attacker's turn within a mini-batch of a linear model, told by the products of the batch's rows alone.

A linear model's gradient is xᵀR for its rows' residuals R. Label scores along such a direction are (xxᵀ)R, and inner
products of gradients ⟨R, (xxᵀ)R'⟩: with the logits, which the step itself needs, a turn takes nothing as large as the
parameters. xxᵀ is (b, b), and all replicas share it. ``rounds.decide`` is the same in any model and on any rows.
"""

import dataclasses

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.attack.names import is_planned
from turncoat.attack.round import told
from turncoat.attack.selection import Selection, resolve
from turncoat.attack.spending import check_spent, spend_each
from turncoat.federation.names import imitated
from turncoat.losses import residual, swap, without
from turncoat.models.scores import centred
from turncoat.randomness import generator
from turncoat.threat import Threat
from turncoat.training.rounds import Outcome
from turncoat.training.task import Group, Task


@dataclasses.dataclass(frozen=True)
class Batch:
    """A mini-batch as all replicas see it; logits are of the server's models, and of the attackers' own if any."""

    y: Int[Tensor, " b"]
    products: Float[Tensor, "b b"]  # xxᵀ
    logits: Float[Tensor, "b c r"]
    shares: Float[Tensor, "b c r"]  # their softmax
    eyes: Float[Tensor, "b c r"] | None
    target: Float[Tensor, "b c 1"] | None  # logits of the model that targeted attackers steer to

    def along(
        self, rest: Float[Tensor, "m c g"], members: Int[Tensor, " m"] | None = None
    ) -> Float[Tensor, "m c g"]:
        """How the rows' logits move along xᵀ rest, be it of all rows or of these."""
        products = self.products
        if members is not None:
            products = products.index_select(0, members).index_select(1, members)
        return (products @ rest.flatten(1)).view_as(rest)


def suits(task: Task, threat: Threat, rows: int) -> bool:
    """Whether a group with this threat can take its turn here: a linear model, plain loss, scores of a batch."""
    if task.model.span is None or not task.model.loss.plain or threat.aware or rows > task.model.chunk:
        return False
    if is_planned(threat.selection) or imitated(threat.selection):
        return False
    return isinstance(resolve(threat.selection, threat.write_access), Selection)


def look(task: Task, x: Tensor, y: Int[Tensor, " b"], logits: Tensor, eyes: Tensor | None) -> Batch:
    """What the turns of all groups share."""
    own = x.to(logits.dtype)
    target = None if task.target is None else task.model.logits(task.target, own)
    return Batch(y, own @ own.T, logits, logits.softmax(1), eyes, target)


def decide_in_batch(
    task: Task,
    group: Group,
    batch: Batch,
    order: Int[Tensor, " b"],
    sizes: Int[Tensor, " g"],
    when: tuple[int, ...],
) -> Outcome:
    """One group's turn, as ``rounds.decide`` takes it."""
    threat, members = group.threats[0], order[: int(sizes.max())]
    y = batch.y.unsqueeze(1).expand(-1, len(sizes))
    honest = _weighted(task, without(_of(group, batch.shares), y), 1 / len(y))
    slope = batch.along(honest)
    own = slope.index_select(0, members)
    targeted = threat.goal == "targeted"
    toward = _to_target(batch, _of(group, batch.logits)) if targeted else None
    aim = -own if toward is None else toward.index_select(0, members)
    new = _chosen(task, group, batch, members, sizes, aim, when)
    old = y.index_select(0, members)
    change = _weighted(task, swap(old, new, task.model.classes, honest.dtype), 1 / len(y))
    norm, across = _inner(honest, slope), _inner(change, own)
    report = told(
        (new != old).sum(0),
        before=norm if toward is None else -_inner(honest, toward),
        moved=-across if toward is None else _inner(change, toward.index_select(0, members)),
        norm=norm,
        across=across,
        changed=_inner(change, batch.along(change, members)),
    )
    return Outcome(group.columns, members, new, report)


def _of(group: Group, values: Float[Tensor, "b c r"]) -> Float[Tensor, "b c g"]:
    """A copy of the group's columns, which mostly stand side by side."""
    columns = group.columns.tolist()
    if columns == list(range(columns[0], columns[0] + len(columns))):
        return values.narrow(2, columns[0], len(columns)).clone(memory_format=torch.contiguous_format)
    return values.index_select(2, group.columns)


def _inner(a: Float[Tensor, "m c g"], b: Float[Tensor, "m c g"]) -> Float[Tensor, " g"]:
    products: Tensor = torch.linalg.vecdot(a.flatten(0, 1), b.flatten(0, 1), dim=0)
    return products


def _chosen(
    task: Task,
    group: Group,
    batch: Batch,
    members: Int[Tensor, " m"],
    sizes: Int[Tensor, " g"],
    aim: Float[Tensor, "m c g"],
    when: tuple[int, ...],
) -> Int[Tensor, "m g"]:
    """The members' labels, by the scores that the attacker's knowledge allows."""
    threat, labels = group.threats[0], batch.y[members]
    stacked = labels.unsqueeze(1).expand(-1, len(sizes))
    rule = resolve(threat.selection, threat.write_access)
    assert isinstance(rule, Selection)
    scores = _scores(task, group, batch, members, sizes, aim, rule.needs)
    draw = generator(task.seed, "selection", *when)
    proposed, priority = rule.proposals(scores, stacked, draw)
    flips = group.allowances(sizes)
    return check_spent(
        spend_each(proposed, priority, labels, sizes, flips), stacked, flips, task.model.classes
    )


def _scores(
    task: Task,
    group: Group,
    batch: Batch,
    members: Int[Tensor, " m"],
    sizes: Int[Tensor, " g"],
    aim: Float[Tensor, "m c g"],
    needs: str,
) -> Float[Tensor, "m c g"]:
    """What a rule that ``needs`` it reads as scores, where ``aim`` are those of the omniscient attacker."""
    if needs == "nothing":
        return aim.new_zeros(()).expand_as(aim)
    threat, logits = group.threats[0], batch.logits
    if threat.knowledge == "surrogate":
        assert batch.eyes is not None
        logits = batch.eyes
    if needs == "logits":
        return _of(group, logits).index_select(0, members)
    scores = aim
    if threat.knowledge != "omniscient":
        scores = _own_direction(task, threat, batch, members, sizes, _of(group, logits))[members]
    if needs == "centred" and task.model.classes > 2:
        return centred(scores, _of(group, logits).index_select(0, members))
    return scores


def _own_direction(
    task: Task, threat: Threat, batch: Batch, members: Int[Tensor, " m"], sizes: Int[Tensor, " g"], z: Tensor
) -> Float[Tensor, "b c g"]:
    """Scores along the direction of an attacker who knows its own rows alone."""
    if threat.goal == "targeted":
        return _to_target(batch, z)
    inside = torch.arange(len(members), device=z.device).unsqueeze(1) < sizes
    own = batch.y[members].unsqueeze(1).expand(-1, len(sizes))
    rest = torch.zeros_like(z)
    rest[members] = residual(z[members], own) * (inside / sizes.clamp(min=1)).unsqueeze(1)
    return -batch.along(_weighted(task, rest, 1.0))


def _to_target(batch: Batch, z: Tensor) -> Tensor:
    assert batch.target is not None
    return z - batch.target


def _weighted(task: Task, rest: Float[Tensor, "b c g"], weight: float) -> Float[Tensor, "b c g"]:
    """The residuals as they reach weights: with two classes the first logit is the constant 0, and has none."""
    assert task.model.span is not None
    without_weights = rest.shape[1] - task.model.span.rows
    rest.mul_(weight)
    if without_weights:
        rest[:, :without_weights] = 0
    return rest
