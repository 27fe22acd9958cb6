"""What must be trained before the main run: a target to steer to, and scores summed for a one-time attack."""

import dataclasses
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from turncoat.attack.choosing import scores_for
from turncoat.attack.names import PLANS, is_planned
from turncoat.attack.round import mean_gradient
from turncoat.attack.selection import Selection, flip_labels, resolve
from turncoat.direction import targeted, untargeted
from turncoat.federation.attacks import GRADIENT_ATTACKS
from turncoat.randomness import generator
from turncoat.threat import CLEAN, Threat
from turncoat.training.loop import advance
from turncoat.training.planned import planned_labels
from turncoat.training.task import RunState, Task, label_dtype, start

Sums = dict[str, Float[Tensor, "n c"]]


def honest_task(task: Task, relabelled: bool) -> Task:
    """The same recipe and seed without an attacker, on all data; ``relabelled`` shifts every label by one.

    For two classes the shift exchanges them (paper B, Table 2).
    """
    y, held = task.y, task.y_held
    if relabelled:
        y, held = (y + 1) % task.model.classes, (held + 1) % task.model.classes
    return dataclasses.replace(task, threats=(CLEAN,), y=y, y_held=held, target=None, kept=None, guard=None)


def needs_target(threats: tuple[Threat, ...]) -> bool:
    """Whether any threat steers to a target."""
    return any(t.goal == "targeted" for t in threats)


def needs_scores(threats: tuple[Threat, ...]) -> bool:
    """Whether any threat's flips are chosen once, by scores summed over an honest run."""
    return threats[-1].schedule == "once" and bool(_kinds(threats))


def train_target(task: Task, state: RunState) -> Iterator[int]:
    """Train the target's run to its end; its parameters are then ``state.params``."""
    yield from advance(honest_task(task, relabelled=True), state)


def start_honest(task: Task) -> RunState:
    """The first state of a run without an attacker."""
    return start(honest_task(task, relabelled=False))


def sum_scores(task: Task, state: RunState, sums: Sums) -> Iterator[int]:
    """Train a surrogate honestly and add up, at the start of each epoch, the scores of all examples.

    ``sums`` is filled in place, one entry per goal and kind of scores that the threats need.
    """
    honest = honest_task(task, relabelled=False)
    for kind in _kinds(task.threats):
        sums.setdefault("/".join(kind), torch.zeros(len(task.y), task.model.classes, device=task.y.device))
    yield from advance(honest, state, watch=lambda: _add_scores(task, state, sums))


def keep_labels(task: Task, sums: Sums) -> Tensor:
    """Every replica's labels (n, r), chosen once by the summed scores."""
    labels = task.y.to(label_dtype(task.model.classes)).unsqueeze(1).repeat(1, len(task.threats))
    for column, threat in enumerate(task.threats):
        if threat.is_clean or threat.selection in GRADIENT_ATTACKS:
            continue
        pool = task.way.pool(task, (threat,), 0)
        if is_planned(threat.selection):
            own = planned_labels(task, [column], pool, pool.order[: int(pool.sizes.max())], 0)
            labels[pool.order[: len(own)], column] = own[:, 0].to(labels.dtype)
            continue
        chosen = task.y
        rule = resolve(threat.selection, threat.write_access)
        draw = generator(task.seed, "selection", 0)
        for start_row, stop in pool.parts(0):
            own, flips = pool.order[start_row:stop], threat.allowance(stop - start_row)
            scores = sums["/".join(_kind(threat))]
            chosen = flip_labels(rule, scores, chosen, own, flips, draw)
        labels[:, column] = chosen
    return labels


def _add_scores(task: Task, state: RunState, sums: Sums) -> None:
    model = task.model
    labels = task.y.unsqueeze(1)
    gradient = mean_gradient(model, state.params, task.x, labels)
    for goal, needs in _kinds(task.threats):
        if goal == "targeted":
            assert task.target is not None
            direction = targeted(state.params, task.target)
        else:
            direction = untargeted(gradient)
        for start_row in range(0, len(task.x), model.chunk):
            rows = slice(start_row, start_row + model.chunk)
            scores = scores_for(needs, model, state.params, direction, task.x[rows])
            sums[f"{goal}/{needs}"][rows] += scores.squeeze(2)


def _kind(threat: Threat) -> tuple[str, str]:
    rule = resolve(threat.selection)
    return threat.goal, rule.needs if isinstance(rule, Selection) else "centred"


def _kinds(threats: tuple[Threat, ...]) -> list[tuple[str, str]]:
    unscored = (*GRADIENT_ATTACKS, *PLANS)
    wanted = (t for t in threats if not t.is_clean and t.selection not in unscored)
    return sorted({_kind(t) for t in wanted})
