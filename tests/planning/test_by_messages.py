"""Plans through a server's rule: worths against autograd through all rounds, budgets, and what such plans do."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from turncoat import Federation, Recipe, Threat, models, train
from turncoat.federation.threats import placed_in
from turncoat.planning import saving
from turncoat.planning.aim import Aim
from turncoat.planning.by_messages import CrowdCourse, drawn, outcome, way_back
from turncoat.planning.ledger import worth_of_blocks
from turncoat.planning.planner import Planner
from turncoat.planning.reach import Reach, soft_labels
from turncoat.planning.server import Server, pulled_back
from turncoat.training import planned
from turncoat.training.stack import material, stack_run

RECIPE = Recipe(epochs=5, learning_rate=0.5, batch_size=5)
WORKERS, HOSTILE = 6, 2
CROWD = Federation(workers=WORKERS, hostile=HOSTILE, aggregator="trimmed_mean")
RULES = [
    "mean",
    "median",
    "trimmed_mean",
    "geometric_median",
    "centered_clipping",
    "norm_clipping",
    "nnm+trimmed_mean",
]


def task_of(data, threats, federation=CROWD, recipe=RECIPE, seed=0, model="logistic"):
    own = tuple(placed_in(federation, threat, recipe) for threat in threats)
    return stack_run(material(models.build(model, data), data, "cpu"), recipe, seed, own, federation).task


def planner(data, *threats, rounds=14, **other):
    (one,) = planned.planners(task_of(data, threats, **other), rounds)
    return one.planner


def knowing(budget=1.0, **other):
    return Threat(local_budget=budget, selection="planned", aware=True, **other)


def exact(data, rule, model="logistic", steps=6, phases=2):
    """A course in float64 whose batches are whole shards, so that every row is in each."""
    here = planner(data, knowing(), federation=dataclasses.replace(CROWD, aggregator=rule), model=model)
    course = here.view.course(here.scene.planned(10_000))
    size = len(course.server.shards[0])
    return dataclasses.replace(
        course,
        data=course.data.double(),
        start={name: value.double() for name, value in course.start.items()},
        server=dataclasses.replace(course.server, batch=size),
        phase_of=tuple(t * phases // steps for t in range(steps)),
        looks={steps: 0.6, steps - 2: 0.4},
        weight_decay=0.01,
    )


def soft_for(course, replicas=2, seed=0):
    draw = torch.Generator().manual_seed(seed)
    shape = (course.phases, len(course.own), course.model.classes, replicas)
    return torch.rand(shape, generator=draw, dtype=torch.float64).softmax(2)


def literally(course: CrowdCourse, soft):
    """The aim of one replica, written out: a loop over rounds and workers, with the draw taken for the soft label."""
    params = {name: value.clone().requires_grad_() for name, value in course.start.items()}
    total, at = 0.0, course.own.tolist()

    def logits(params, x):
        return course.model.logits(params, x)[:, :, 0]

    for number in range(course.steps):
        step = drawn(course, soft.detach().unsqueeze(3), 0, number)
        sent = []
        for rows, labels in zip(step.rows, step.labels[..., 0], strict=True):
            wanted = torch.nn.functional.one_hot(labels.long(), course.model.classes).double()
            own = [at.index(row) for row in rows.tolist() if row in at]
            if own:
                given = soft[course.phase_of[number]][own]
                wanted = given + (wanted - given).detach()
            loss = -(wanted * logits(params, course.data[rows]).log_softmax(1)).sum(1).mean()
            slopes = torch.autograd.grad(loss, list(params.values()), create_graph=True)
            sent.append(torch.cat([slope.flatten() for slope in slopes]))
        moved = course.server.rule(torch.stack(sent).unsqueeze(0), torch.tensor(step.who))[0]
        parts = moved.split([value.numel() for value in params.values()])
        params = {
            name: value - course.rate * (part.view_as(value) + course.weight_decay * value)
            for (name, value), part in zip(params.items(), parts, strict=True)
        }
        if weight := course.looks.get(number + 1):
            shares = (course.aim.sharpness * logits(params, course.looked_at)).softmax(1)
            total = total + weight * shares.gather(1, course.aim.labels.unsqueeze(1)).mean()
    return total


@pytest.mark.parametrize("rule", RULES)
def test_worths_are_the_gradient_through_all_rounds_and_the_rule(multi, rule):
    course = exact(multi, rule)
    soft = soft_for(course)
    found = way_back(course, soft, 0)
    reach = Reach(torch.ones(1, 2), torch.ones(HOSTILE, 2).double(), course.blocks)
    one = torch.ones(len(found.legs), 2, dtype=torch.float64)
    for replica in range(2):
        own = soft[..., replica].clone().requires_grad_()
        aim = literally(course, own)
        (slope,) = torch.autograd.grad(aim, own)
        assert float(found.objective[replica]) == pytest.approx(float(aim.detach()), rel=1e-6)
        for phase in range(course.phases):
            worths = worth_of_blocks(course.model, course.x, found.legs, one, phase, reach)[..., replica]
            # labels stay shares, so that only differences between a row's labels count
            for got, wanted in ((worths, slope[phase]),):
                torch.testing.assert_close(
                    got - got.mean(1, keepdim=True),
                    wanted - wanted.mean(1, keepdim=True),
                    rtol=1e-5,
                    atol=1e-9,
                )


def test_a_network_goes_back_by_its_second_derivatives(multi):
    course = exact(multi, "trimmed_mean", model="mlp:5", steps=4, phases=4)
    soft = soft_for(course, 1)
    found = way_back(course, soft, 0)
    reach = Reach(torch.ones(1, 1), torch.ones(HOSTILE, 1).double(), course.blocks)
    own = soft[..., 0].clone().requires_grad_()
    (slope,) = torch.autograd.grad(literally(course, own), own)
    one = torch.ones(len(found.legs), 1, dtype=torch.float64)
    for phase in range(4):
        got = worth_of_blocks(course.model, course.x, found.legs, one, phase, reach)[..., 0]
        wanted = slope[phase]
        torch.testing.assert_close(
            got - got.mean(1, keepdim=True), wanted - wanted.mean(1, keepdim=True), rtol=1e-5, atol=1e-9
        )


def test_messages_that_are_computed_again_are_the_same(multi, monkeypatch):
    from turncoat.planning import by_messages

    course = exact(multi, "median")
    soft = soft_for(course)
    kept = way_back(course, soft, 3)
    monkeypatch.setattr(by_messages, "KEPT", 0)
    again = way_back(course, soft, 3)
    for a, b in zip(kept.legs, again.legs, strict=True):
        torch.testing.assert_close(a.direction, b.direction)
    torch.testing.assert_close(outcome(course, soft), way_back(course, soft, 0).judged)


def test_drawn_labels_have_the_shares_of_the_plan(multi):
    course = exact(multi, "mean", steps=1, phases=1)
    soft = soft_for(course, 1)
    counts = torch.zeros(len(course.own), multi.classes)
    for turn in range(600):
        step = drawn(course, soft, turn, 0)
        place = {row: i for i, row in enumerate(course.own.tolist())}
        for row, label in zip(step.rows[:HOSTILE].flatten(), step.labels[:HOSTILE].flatten(), strict=True):
            counts[place[int(row)], int(label)] += 1
        assert torch.equal(step.labels[HOSTILE:, :, 0], multi.y[step.rows[HOSTILE:]])
    shares = counts / counts.sum(1, keepdim=True)
    assert float((shares - soft[0, ..., 0]).abs().max()) < 0.1


def test_a_rule_without_derivatives_is_taken_for_the_mean():
    def by_numpy(messages, who):
        return torch.from_numpy(np.median(messages.detach().numpy(), axis=1))

    toward = torch.tensor([[4.0, 8.0]])
    found = pulled_back(by_numpy, torch.randn(1, 4, 2), torch.arange(4), toward)
    assert torch.equal(found, torch.tensor([[[1.0, 2.0]] * 4]))


def test_every_worker_keeps_to_its_own_budget(multi):
    crowd = Federation(workers=5, hostile=2, partition="dirichlet:0.5", aggregator="median")
    task = task_of(multi, [knowing(0.3), knowing(0.8)], crowd)
    (one,) = planned.planners(task, 12)
    list(one.planner.advance())
    rows = task.way.pool(task, task.threats, 0)
    for (replica, threat), turn in itertools.product(enumerate(task.threats), range(RECIPE.epochs)):
        spent = 0
        for start, stop, labels in one.labels(replica, threat, rows, turn, rows.parts(replica)):
            flips = int((labels != rows.y[rows.order[start:stop]]).sum())
            assert flips <= threat.allowance(stop - start)
            spent += flips
        assert spent > 0


def test_blocks_have_prices_of_their_own():
    draw = torch.Generator().manual_seed(0)
    worth, y = torch.randn(12, 3, 2, generator=draw), torch.randint(3, (12,), generator=draw)
    mass = torch.tensor([[1.0, 3.0], [2.0, 0.5]]).double()
    whole = soft_labels(Reach(torch.ones(1, 2), mass, ((0, 5), (5, 12))), worth, y)
    for (start, stop), own in zip(((0, 5), (5, 12)), mass, strict=True):
        apart = soft_labels(Reach(torch.ones(1, 2), own), worth[start:stop], y[start:stop])
        torch.testing.assert_close(whole[start:stop], apart)
        flipped = (1 - apart.gather(1, y[start:stop].view(-1, 1, 1).expand(-1, 1, 2))).sum((0, 1))
        assert (flipped.double() <= own + 1e-4).all()


def test_unequal_workers_are_sampled_each_by_its_own(multi):
    shards = (torch.arange(0, 30), torch.arange(30, 34), torch.arange(34, 60))
    server = Server(shards, torch.tensor([[6], [2]]), lambda m, who: m.mean(1), 4, 3)
    rows = torch.cat(server.some(12))
    assert server.count(rows) == [6, 4]
    assert server.batches([30, 4, 26], torch.Generator()).shape == (3, 4)
    here = dataclasses.replace(planner(multi, knowing()).scene, server=server)
    reach = here.reach(rows)
    assert reach.blocks == ((0, 6), (6, 10))
    torch.testing.assert_close(reach.mass[:, :1], torch.tensor([[6.0 * 6 / 30], [2.0]]).double())


def test_it_goes_on_to_the_bit_and_plans_side_by_side(multi):
    threats = [knowing(0.5), knowing(1.0)]
    whole = planner(multi, *threats)
    list(whole.advance())
    first = planner(multi, *threats)
    for done in first.advance():
        if done == 11:
            break
    again = Planner(first.scene, 14)
    saving.restore(again, {name: value.copy() for name, value in saving.to_arrays(first).items()})
    list(again.advance())
    assert torch.equal(again.state.judged, whole.state.judged)
    alone = [planner(multi, threat) for threat in threats]
    for one in alone:
        list(one.advance())
    together = torch.cat([one.state.judged for one in alone])
    torch.testing.assert_close(whole.state.judged, together, rtol=0.05, atol=0.03)


@pytest.mark.parametrize(
    "crowd",
    [
        Federation(workers=6, hostile=2, aggregator="median", participation=0.7),
        Federation(workers=6, hostile=2, aggregator="median", local_steps=2),
        Federation(workers=6, hostile=2, aggregator="trimmed_mean", worker_momentum=0.5),
        Federation(workers=6, hostile=2, partition="dirichlet:0.5", weighting="size"),
        Federation(workers=6, hostile=2, aggregator="krum", tolerated=1),
    ],
    ids=["participation", "local_steps", "worker_momentum", "size", "krum"],
)
@pytest.mark.parametrize("knowledge", ["omniscient", "local", "surrogate"])
def test_planned_flips_in_all_sorts_of_federations(multi, crowd, knowledge):
    aware = crowd.aggregator != "mean"
    threat = Threat(local_budget=0.8, selection="planned", aware=aware, knowledge=knowledge)
    short = dataclasses.replace(RECIPE, epochs=2)
    table = train(multi, threats=[threat], seeds=[0], recipe=short, federation=crowd).to_pandas()
    most = threat.local_budget * multi.n * 0.8
    assert 0 < table[table["write_access"] > 0]["flips"].max() <= most


def test_a_network_of_ones_own_plans_through_a_rule(multi):
    recipe = Recipe(epochs=2, learning_rate=0.3, batch_size=6)
    one = planner(multi, knowing(0.8), recipe=recipe, model="courses_nets:smooth", rounds=11)
    list(one.advance())
    began = one.state.history[0][0]
    assert float(one.state.judged[0]) < began


def test_it_harms_far_more_than_the_strongest_rule_known_before(digits):
    recipe = Recipe(epochs=6, learning_rate=0.3, batch_size=32)
    crowd = Federation(workers=10, hostile=3, aggregator="trimmed_mean")
    threats = [knowing(), Threat(local_budget=1.0, selection="cyclic")]
    table = train(digits, threats=threats, seeds=[0], recipe=recipe, federation=crowd).summary()
    table = table[table["write_access"] > 0].set_index("selection")["accuracy.mean"]
    assert table["planned"] < table["cyclic"] - 0.04


def test_workers_that_train_with_another_loss_are_planned_as_if_they_did_not(multi):
    plain, robust = (
        planner(multi, knowing(), recipe=dataclasses.replace(RECIPE, defence=defence), rounds=3)
        for defence in ("none", "gce:0.7")
    )
    for one in (plain, robust):
        list(one.advance())
    assert plain.state.history == robust.state.history


def test_goals_and_the_last_rounds(multi):
    targeted = planner(multi, knowing(goal="targeted"))
    list(targeted.advance())
    assert isinstance(targeted.view.course(targeted.scene.planned(99)).aim, Aim)
    assert targeted.view.course(targeted.scene.planned(99)).aim.sign == -1
    late = knowing(last_rounds=2)
    flips = train(multi, threats=[late], seeds=[0], recipe=RECIPE, federation=CROWD).to_pandas()
    flips = flips[flips["write_access"] > 0].sort_values("epoch")["flips"].tolist()
    assert flips[:3] == [0, 0, 0]
    assert min(flips[3:]) > 0
