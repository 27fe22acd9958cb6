"""One round of a federation: workers compute, hostile ones cheat, the server aggregates and steps."""

import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

from turncoat.direction import Params
from turncoat.federation.attacks import GRADIENT_ATTACKS
from turncoat.federation.aware import seen, sent
from turncoat.federation.crowd import Crowd
from turncoat.federation.messages import example_norms, unpack
from turncoat.federation.visibility import label_shift, signs
from turncoat.randomness import generator
from turncoat.training.rounds import Rows, decide, groups
from turncoat.training.task import RunState, Task

EXAMPLES = 8  # per worker, behind a per-example gradient norm


def federated_step(task: Task, state: RunState, rows: Int[Tensor, "w b"]) -> None:
    """All replicas take one step on their workers' messages."""
    crowd = task.crowd
    assert crowd is not None and state.labels is not None
    x = task.x.index_select(0, rows.flatten()).unflatten(0, rows.shape)
    labels = state.labels.index_select(0, rows.flatten()).unflatten(0, rows.shape)
    if task.schedule == "step":
        labels = _attacked(task, state, crowd, rows, x, labels)
    messages = sent(task.model, crowd, state.params, x, labels, task.recipe.learning_rate)
    if crowd.federation.worker_momentum:
        messages = _with_momentum(state, messages, crowd.federation.worker_momentum)
    messages = forge(task, state, crowd, messages)
    if state.step in crowd.watched:
        _watch(task, state, crowd, rows, x, labels, messages)
    update = crowd.aggregate(messages, crowd.federation.f)
    _apply(task, state, update)


def forge(
    task: Task, state: RunState, crowd: Crowd, messages: Float[Tensor, "r w p"]
) -> Float[Tensor, "r w p"]:
    """Put gradient attacks, where a replica's threat is one, in the place of its hostile workers' messages."""
    hostile = crowd.federation.hostile
    for name, attack in GRADIENT_ATTACKS.items():
        columns = [c for c, i in enumerate(state.alive.tolist()) if task.threats[i].selection == name]
        if columns and 0 < hostile < messages.shape[1]:
            draw = generator(task.seed, "gradient attack", state.step)
            honest = messages[columns, hostile:]
            messages = messages.clone()
            messages[torch.tensor(columns), :hostile] = attack(honest, hostile, draw)
    return messages


def _attacked(
    task: Task, state: RunState, crowd: Crowd, rows: Tensor, x: Tensor, labels: Integer[Tensor, "w b r"]
) -> Integer[Tensor, "w b r"]:
    """Schedule "step": the attacker's turn on its workers' batches of this very step."""
    w, b = rows.shape
    hostile = crowd.federation.hostile
    y = task.y[rows.flatten()]
    labels = labels.clone()
    blocks = tuple((i * b, (i + 1) * b) for i in range(hostile))
    for threat, columns in groups(task, state):
        if not blocks:
            continue
        sizes = torch.full((len(columns),), hostile * b, device=rows.device)
        order = torch.arange(w * b, device=rows.device)  # the hostile workers' rows stand first
        sample = seen(order.view(1, w, b), hostile, threat.knowledge) if threat.aware else None
        batch = Rows(x.flatten(0, 1), y, order, sizes, blocks, sample)
        outcome = decide(task, state, threat, columns, batch, (state.epoch, state.row))
        labels.flatten(0, 1)[outcome.members.unsqueeze(1), columns] = outcome.labels.to(labels.dtype)
        state.note(columns, outcome.report, share=1 / crowd.rounds)
    return labels


def _with_momentum(state: RunState, sent: Float[Tensor, "r w p"], beta: float) -> Float[Tensor, "r w p"]:
    if state.memory is None:
        state.memory = torch.zeros_like(sent)
    state.memory = state.memory.mul(beta).add_(sent, alpha=1 - beta)
    return state.memory


def _watch(
    task: Task,
    state: RunState,
    crowd: Crowd,
    rows: Int[Tensor, "w b"],
    x: Tensor,
    labels: Integer[Tensor, "w b r"],
    sent: Float[Tensor, "r w p"],
) -> None:
    few = slice(0, EXAMPLES)
    norms = [  # one worker at a time keeps memory small
        example_norms(task.model, state.params, xs, ys).mean(0)
        for xs, ys in zip(x[:, few], labels[:, few], strict=True)
    ]
    classes = task.model.classes
    shifts = [label_shift(new, task.y[own], classes) for new, own in zip(labels, rows, strict=True)]
    found = signs(sent, crowd.federation.hostile, torch.stack(norms), torch.stack(shifts))
    turn = sorted(crowd.watched).index(state.step)
    state.samples[turn][state.alive.cpu().numpy()] = found.cpu().numpy()


def _apply(task: Task, state: RunState, update: Float[Tensor, "r p"]) -> None:
    assert task.crowd is not None
    state.step += 1
    step = unpack(task.model, update, state.params)
    if task.crowd.federation.local_steps > 1:  # the workers have stepped already: the server takes their mean
        for name, value in state.params.items():
            value.sub_(step[name])
        return

    def add(into: Params, weight: float) -> None:
        for name, value in into.items():
            value.add_(step[name], alpha=weight)

    task.optimizer.update(state.params, state.slots, state.step, add)
