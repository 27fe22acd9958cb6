"""Which of their rows' labels a stack of replicas changes: the rows are scored once, then budgets are spent.

The attacker's rows come in one order that all replicas share; replica j may write to the first ``sizes[j]`` of
them. Replicas are sorted by falling size, so the replicas that still count at some row are a prefix of the stack
and nobody's rows are scored for a replica that cannot write to them.
"""

import dataclasses
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from turncoat.attack.selection import OwnSelection, Selection, ask
from turncoat.attack.spending import check_spent, spend
from turncoat.direction import Params
from turncoat.models.learned import loss_scores
from turncoat.models.scores import centred
from turncoat.models.stack import Model, head_only, take


@dataclasses.dataclass(frozen=True)
class Quota:
    """The rows ``start:stop`` of the attacker's order, of which ``replica`` may flip at most ``flips``."""

    replica: int
    start: int
    stop: int
    flips: int


Choose = Callable[[list[Quota], Tensor | None], Tensor]
"""``choose(quotas, barred (m, r)) -> labels (m, r)`` of the attacker's rows."""


def chooser(
    rule: "Selection | OwnSelection",
    model: Model,
    params: Params,
    direction: Params,
    x: Tensor,
    members: Int[Tensor, " m"] | None,
    labels: Int[Tensor, " m"],
    sizes: Int[Tensor, " r"],
    generator: torch.Generator,
) -> Choose:
    """How the rows' new labels are chosen by ``rule``, once or several times in a round: it is asked once, here.

    ``members`` are their places in ``x``; without them ``x`` is theirs from its first row on. Rows that a choice bars
    are left alone. A rule of one's own is asked again by every choice, as it is told the budget; it is not told what is
    barred.

    Raises:
        TurncoatError: if the rule fails; a choice, if the rule overspends or returns something that is not labels.
    """
    stacked = labels.unsqueeze(1).expand(-1, len(sizes))
    if isinstance(rule, Selection):
        wanted = _proposals(rule, model, params, direction, x, members, stacked, sizes, generator)

    def choose(quotas: list[Quota], barred: Tensor | None) -> Int[Tensor, "m r"]:
        if isinstance(rule, Selection):
            new = _spent(*wanted, labels, quotas, barred)
        else:
            new = _asked(rule, model, params, direction, x, members, labels, quotas, stacked, generator)
        return check_spent(new, stacked, _allowed(quotas, sizes), model.classes)

    return choose


def _spent(
    proposed: Int[Tensor, "r m"],
    priority: Float[Tensor, "r m"],
    labels: Int[Tensor, " m"],
    quotas: list[Quota],
    barred: Bool[Tensor, "m r"] | None,
) -> Int[Tensor, "m r"]:
    result = labels.unsqueeze(1).repeat(1, len(proposed))
    if barred is not None:
        priority = priority.masked_fill(barred.T, torch.inf)
    for q in quotas:
        rows = slice(q.start, q.stop)
        result[rows, q.replica] = spend(
            proposed[q.replica, rows], priority[q.replica, rows], labels[rows], q.flips
        )
    return result


def _asked(
    rule: OwnSelection,
    model: Model,
    params: Params,
    direction: Params,
    x: Tensor,
    members: Int[Tensor, " m"] | None,
    labels: Int[Tensor, " m"],
    quotas: list[Quota],
    stacked: Int[Tensor, "m r"],
    generator: torch.Generator,
) -> Int[Tensor, "m r"]:
    result = stacked.clone()
    draws: dict[int, torch.Generator] = {}
    for q in quotas:
        if q.flips == 0:
            continue
        # every replica draws from the start, so that no replica's numbers depend on its neighbours
        draw = draws.setdefault(q.replica, generator.clone_state())
        rows = slice(q.start, q.stop)
        one = torch.tensor([q.replica], device=labels.device)
        mine = take(params, one, model.replica_axis)
        toward = take(direction, one, model.replica_axis)
        scores = scores_for("centred", model, mine, toward, features(x, members, rows)).squeeze(2)
        chosen = ask(rule, scores, labels[rows].clone(), q.flips, draw)
        allowed = torch.tensor(q.flips, device=labels.device)
        result[rows, q.replica] = check_spent(chosen, labels[rows], allowed, model.classes).to(result.dtype)
    return result


def _proposals(
    rule: Selection,
    model: Model,
    params: Params,
    direction: Params,
    x: Tensor,
    members: Int[Tensor, " m"] | None,
    labels: Int[Tensor, "m r"],
    sizes: Int[Tensor, " r"],
    generator: torch.Generator,
) -> tuple[Int[Tensor, "r m"], Float[Tensor, "r m"]]:
    m, replicas = labels.shape
    if rule.needs == "nothing":
        blank = torch.zeros((), device=x.device).expand(m, model.classes, replicas)
        proposed, priority = rule.proposals(blank, labels, generator)
        return proposed.T.to(labels.dtype).contiguous(), priority.T.contiguous()
    proposed = torch.zeros(replicas, m, dtype=labels.dtype, device=x.device)
    priority = torch.full((replicas, m), torch.inf, device=x.device)
    for rows, active in segments(sizes, m, model.chunk):
        mine, toward = (
            prefix(params, active, model.replica_axis),
            prefix(direction, active, model.replica_axis),
        )
        scores = scores_for(rule.needs, model, mine, toward, features(x, members, rows))
        best, value = rule.proposals(scores, labels[rows, :active], generator)
        proposed[:active, rows] = best.T.to(labels.dtype)
        priority[:active, rows] = value.T.to(priority.dtype)
    return proposed, priority


def scores_for(
    needs: str, model: Model, params: Params, direction: Params, x: Tensor
) -> Float[Tensor, "n c r"]:
    """What a selection that ``needs`` it reads as scores."""
    if needs == "logits":
        return model.logits(params, x)
    if needs == "last_layer":
        direction = head_only(direction, model.head)
    scores = loss_scores(model, params, x, model.scores(params, x, direction))
    if needs == "centred" and model.classes > 2:
        return centred(scores, model.logits(params, x))
    return scores


def features(x: Tensor, members: Int[Tensor, " m"] | None, rows: "slice | Tensor") -> Tensor:
    """What some members look like; a view where they stand side by side."""
    return x[rows] if members is None else x.index_select(0, members[rows])


def segments(sizes: Int[Tensor, " r"], m: int, chunk: int) -> Iterator[tuple[slice, int]]:
    """The first ``m`` rows ``chunk`` at a time, each with how many replicas may write to any of them."""
    falling = sizes.tolist()
    for start in range(0, m, chunk):
        active = sum(size > start for size in falling)
        if active == 0:
            return
        yield slice(start, min(start + chunk, falling[0])), active


def prefix(params: Params, replicas: int, axis: dict[str, int]) -> Params:
    """The first replicas of a stack."""
    return {name: v.narrow(axis[name], 0, replicas).contiguous() for name, v in params.items()}


def _allowed(quotas: list[Quota], sizes: Int[Tensor, " r"]) -> Int[Tensor, " r"]:
    allowed = torch.zeros_like(sizes)
    for q in quotas:
        allowed[q.replica] += q.flips
    return allowed
