"""One round of the attack on a stack of replicas: direction, scores, flips, and what the flips did.

The attacker's rows come in one order that all replicas share; replica j may write to the first ``sizes[j]`` of
them. Replicas are sorted by falling size, so the replicas that still count at some row are a prefix of the stack
and nobody's rows are scored for a replica that cannot write to them.
"""

import dataclasses
from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from turncoat.attack.selection import OwnSelection, Selection, ask, check_spent, spend
from turncoat.direction import Params
from turncoat.losses import swap
from turncoat.models.learned import loss_scores, residuals
from turncoat.models.scores import centred
from turncoat.models.stack import Model, dot, head_only, moved, take, zeros


@dataclasses.dataclass(frozen=True)
class Quota:
    """The rows ``start:stop`` of the attacker's order, of which ``replica`` may flip at most ``flips``."""

    replica: int
    start: int
    stop: int
    flips: int


@dataclasses.dataclass(frozen=True)
class Report:
    """What a round did to each replica; objectives are ⟨-∇L_D, Δ⟩ with the omniscient attacker's Δ."""

    flips: Float[Tensor, " r"]
    objective_before: Float[Tensor, " r"]
    objective_after: Float[Tensor, " r"]
    cosine: Float[Tensor, " r"]


def mean_gradient(
    model: Model,
    params: Params,
    x: Tensor,
    labels: Int[Tensor, "n r"],
    sizes: Int[Tensor, " r"] | None = None,
) -> Params:
    """Mean gradient of the loss of each replica, over all rows or over its first ``sizes[j]`` rows."""
    total = zeros(moved(model, params))
    scale = None if sizes is None else 1.0 / sizes.clamp(min=1)
    for start in range(0, len(x), model.chunk):
        rows = slice(start, start + model.chunk)
        logits, pull = model.forward(params, x[rows])
        rest = residuals(model, params, x[rows], logits, labels[rows])
        if sizes is not None and scale is not None:
            inside = torch.arange(start, start + len(rest), device=x.device).unsqueeze(1) < sizes
            rest = rest * (inside * scale).unsqueeze(1).to(rest.dtype)
        pull(rest, total, 1.0 / len(x) if sizes is None else 1.0)
    return total


def choose_flips(
    rule: "Selection | OwnSelection",
    model: Model,
    params: Params,
    direction: Params,
    x: Tensor,
    members: Int[Tensor, " m"],
    labels: Int[Tensor, " m"],
    quotas: list[Quota],
    sizes: Int[Tensor, " r"],
    generator: torch.Generator,
    barred: Bool[Tensor, "m r"] | None = None,
) -> Int[Tensor, "m r"]:
    """The rows' new labels per replica, as chosen by ``rule`` within the quotas; ``barred`` rows are left alone.

    A rule of one's own is not told what is barred.

    Raises:
        TurncoatError: if the rule overspends or returns something that is not labels.
    """
    stacked = labels.unsqueeze(1).expand(-1, len(sizes))
    result = stacked.clone()
    if isinstance(rule, Selection):
        proposed, priority = _proposals(rule, model, params, direction, x, members, stacked, sizes, generator)
        if barred is not None:
            priority = priority.masked_fill(barred.T, torch.inf)
        for q in quotas:
            rows = slice(q.start, q.stop)
            result[rows, q.replica] = spend(
                proposed[q.replica, rows], priority[q.replica, rows], labels[rows], q.flips
            )
    else:
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
            scores = scores_for("centred", model, mine, toward, x.index_select(0, members[rows])).squeeze(2)
            chosen = ask(rule, scores, labels[rows].clone(), q.flips, draw)
            allowed = torch.tensor(q.flips, device=labels.device)
            result[rows, q.replica] = check_spent(chosen, labels[rows], allowed, model.classes).to(
                result.dtype
            )
    return check_spent(result, stacked, _allowed(quotas, sizes), model.classes)


def gradient_change(
    model: Model,
    params: Params,
    x: Tensor,
    members: Int[Tensor, " m"],
    old: Int[Tensor, "m r"],
    new: Int[Tensor, "m r"],
    sizes: Int[Tensor, " r"],
    n: int,
) -> Params:
    """What the flips add to the mean gradient over ``n`` examples."""
    total = zeros(moved(model, params))
    dtype = next(iter(params.values())).dtype
    for rows, active in _segments(sizes, len(members), model.chunk):
        before, after = old[rows, :active], new[rows, :active]
        touched = (before != after).any(1)
        if not touched.any():
            continue
        mine = _prefix(params, active, model.replica_axis)
        part = zeros(moved(model, mine))
        own = x.index_select(0, members[rows][touched])
        if model.loss.plain:
            rest, pull = (
                swap(before[touched], after[touched], model.classes, dtype),
                model.pullback(mine, own),
            )
        else:
            logits, pull = model.forward(mine, own)
            rest = residuals(model, mine, own, logits, after[touched])
            rest -= residuals(model, mine, own, logits, before[touched])
        pull(rest, part, 1.0 / n)
        for name, value in part.items():
            total[name].narrow(model.replica_axis[name], 0, active).add_(value)
    return total


def report(
    honest: Params,
    change: Params,
    direction: Params,
    flips: Int[Tensor, " r"],
    axis: dict[str, int],
) -> Report:
    """Objectives and cosine from the honest gradient and what the flips added to it."""
    return told(
        flips,
        before=-dot(honest, direction, axis),
        moved=dot(change, direction, axis),
        norm=dot(honest, honest, axis),
        across=dot(honest, change, axis),
        changed=dot(change, change, axis),
    )


def told(
    flips: Int[Tensor, " r"],
    before: Float[Tensor, " r"],
    moved: Float[Tensor, " r"],
    norm: Float[Tensor, " r"],
    across: Float[Tensor, " r"],
    changed: Float[Tensor, " r"],
) -> Report:
    """A report from inner products of Δ, the honest gradient g and its change c: -gΔ, cΔ, gg, gc and cc."""
    poisoned = (norm + 2 * across + changed).clamp(min=0)
    # the product of two small squares would be zero where their roots' product is not
    scale = (norm.sqrt() * poisoned.sqrt()).clamp(min=torch.finfo(norm.dtype).tiny)
    cosine = ((norm + across) / scale).clamp(-1, 1)
    return Report(flips.to(norm.dtype), before, before - moved, cosine)


def _proposals(
    rule: Selection,
    model: Model,
    params: Params,
    direction: Params,
    x: Tensor,
    members: Int[Tensor, " m"],
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
    for rows, active in _segments(sizes, m, model.chunk):
        mine, toward = (
            _prefix(params, active, model.replica_axis),
            _prefix(direction, active, model.replica_axis),
        )
        scores = scores_for(rule.needs, model, mine, toward, x.index_select(0, members[rows]))
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


def _segments(sizes: Int[Tensor, " r"], m: int, chunk: int) -> Iterator[tuple[slice, int]]:
    falling = sizes.tolist()
    for start in range(0, m, chunk):
        active = sum(size > start for size in falling)
        if active == 0:
            return
        yield slice(start, min(start + chunk, falling[0])), active


def _prefix(params: Params, replicas: int, axis: dict[str, int]) -> Params:
    return {name: v.narrow(axis[name], 0, replicas).contiguous() for name, v in params.items()}


def _allowed(quotas: list[Quota], sizes: Int[Tensor, " r"]) -> Int[Tensor, " r"]:
    allowed = torch.zeros_like(sizes)
    for q in quotas:
        allowed[q.replica] += q.flips
    return allowed
