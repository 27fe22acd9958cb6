"""The turn within a mini-batch, told by the batch's own products, against the turn that any model takes."""

import dataclasses

import pytest
import torch

from turncoat import Recipe, Threat, models
from turncoat.attack.spending import spend, spend_each
from turncoat.training import pooled
from turncoat.training.in_batch import decide_in_batch, look, suits
from turncoat.training.pooled import attacked_step
from turncoat.training.rounds import decide, groups
from turncoat.training.stack import material, stack_run
from turncoat.training.task import Group, Rows, start

RECIPE = Recipe(epochs=1, batch_size=16, learning_rate=0.3)
RULES = ("optimal", "as_printed", "last_layer", "random", "cyclic", "least_likely", "highest_loss")


def test_a_group_counts_as_its_threats_do():
    threats = tuple(Threat(i / 100, (101 - i) / 100) for i in range(1, 101))
    group = Group(threats, torch.arange(len(threats)))
    for n in (1, 7, 64, 100, 60_000):
        sizes = group.writable(n)
        assert sizes.tolist() == [t.writable(n) for t in threats]
        assert group.allowances(sizes).tolist() == [t.flips(n) for t in threats]


def ready(data, threats, recipe=RECIPE, model="logistic"):
    """A task with a target, and a state a few steps into its training."""
    run = stack_run(material(models.build(model, data), data, "cpu"), recipe, 2, threats)
    prepared = run.prepared()
    try:
        while True:
            next(prepared)
    except StopIteration as ended:
        task = ended.value
    state = start(task)
    draw = torch.Generator().manual_seed(0)
    for params in (state.params, state.eyes or {}):
        for value in params.values():
            value.copy_(torch.randn(value.shape, generator=draw) / 10)
    return task, state


@pytest.mark.parametrize("kind", ["binary", "multi"])
@pytest.mark.parametrize("goal", ["untargeted", "targeted"])
@pytest.mark.parametrize("knowledge", ["omniscient", "local", "surrogate"])
def test_it_is_the_turn_of_any_model(kind, goal, knowledge, request):
    data = request.getfixturevalue(kind)
    threats = [
        Threat(k, b, goal=goal, knowledge=knowledge, selection=rule, schedule="step")
        for rule in RULES
        for k, b in ((0.9, 0.4), (0.5, 1.0), (0.1, 0.7), (0.01, 1.0))
    ]
    task, state = ready(data, tuple(threats))
    rows = torch.randperm(len(task.y), generator=torch.Generator().manual_seed(1))[:16]
    x, y = task.x[rows], task.y[rows]
    order = torch.randperm(16, generator=torch.Generator().manual_seed(2))
    eyes = None if state.eyes is None else task.model.logits(state.eyes, x)
    batch = look(task, x, y, task.model.logits(state.params, x), eyes)
    for group in groups(task, state):
        sizes = torch.tensor([threat.writable(16) for threat in group.threats])
        assert suits(task, group.threats[0], 16)
        fast = decide_in_batch(task, group, batch, order, sizes, (0, 3))
        slow = decide(task, state, group, Rows(x, y, order, sizes), (0, 3))
        assert torch.equal(fast.members, slow.members) and torch.equal(fast.columns, slow.columns)
        assert torch.equal(fast.labels, slow.labels), group.threats[0]
        for name, value in dataclasses.asdict(slow.report).items():
            torch.testing.assert_close(getattr(fast.report, name), value, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize(
    ("threat", "recipe", "model"),
    [
        (Threat(0.5, schedule="step", aware=True), dataclasses.replace(RECIPE, optimizer="adam"), "logistic"),
        (Threat(0.5, schedule="step"), dataclasses.replace(RECIPE, defence="gce:0.7"), "logistic"),
        (Threat(0.5, schedule="step"), RECIPE, "mlp:8"),
    ],
    ids=["aware", "another loss", "network"],
)
def test_others_take_the_turn_of_any_model(multi, monkeypatch, threat, recipe, model):
    task, state = ready(multi, (threat,), recipe, model)
    monkeypatch.setattr(pooled, "decide_in_batch", None)
    attacked_step(task, state, torch.arange(16))
    assert not suits(task, threat, 16)


def test_the_order_of_a_fixed_placement_is_drawn_once(multi, monkeypatch):
    task, state = ready(multi, (Threat(0.5, schedule="step", placement="fixed"),))
    drawn = []
    monkeypatch.setattr(
        pooled, "access_order", lambda *a, real=pooled.access_order: drawn.append(a) or real(*a)
    )
    for first in (0, 16, 32):
        attacked_step(task, state, torch.arange(first, first + 16))
    assert len(drawn) == 1


def test_flips_are_spent_for_each_replica_as_for_one():
    draw = torch.Generator().manual_seed(3)
    labels = torch.randint(5, (20,), generator=draw)
    proposed = torch.randint(5, (20, 7), generator=draw)
    priority = torch.randn(20, 7, generator=draw).masked_fill_(
        torch.rand(20, 7, generator=draw) < 0.2, torch.inf
    )
    sizes = torch.tensor([20, 20, 13, 13, 9, 1, 0])
    for flips in ([3, 20, 5, 13, 0, 1, 0], [20, 20, 13, 13, 9, 1, 0], [0] * 7):
        together = spend_each(proposed, priority, labels, sizes, torch.tensor(flips))
        for j, (size, count) in enumerate(zip(sizes.tolist(), flips, strict=True)):
            own = spend(proposed[:size, j], priority[:size, j], labels[:size], count)
            assert torch.equal(together[:, j], torch.cat([own, labels[size:]]))
