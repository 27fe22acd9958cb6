"""Learning rates by step against torch's own schedulers, clipped gradients, and whole trainings with both."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from plain_training import Steps, scheduler
from turncoat import Recipe, Threat, TurncoatError, models, rates, train
from turncoat.federation.federation import Federation
from turncoat.federation.threats import placed_in
from turncoat.planning.timing import timing
from turncoat.randomness import generator
from turncoat.training import optimizers
from turncoat.training.own import parts_of, train_own

SCHEDULES = [("constant", 2), ("cosine", 0), ("cosine", 2), ("step:2,4:0.1", 0), ("step:1,4:3", 2)]


@pytest.mark.parametrize("each", [1, 3])
@pytest.mark.parametrize(("schedule", "warmup"), SCHEDULES)
def test_rates_are_those_of_torchs_schedulers(schedule, warmup, each):
    recipe = Recipe(epochs=6, learning_rate=0.5, lr_schedule=schedule, warmup=warmup)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    theirs = scheduler(optimizer, recipe, each)
    for step in range(1, 6 * each + 1):
        assert recipe.rate(step, each) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12), step
        optimizer.step()
        with warnings.catch_warnings():  # torch's schedulers call each other in a way that they warn of
            warnings.simplefilter("ignore")
            theirs.step()


def test_a_constant_rate_is_the_number_itself():
    recipe = Recipe(learning_rate=0.1)
    assert recipe.steady and recipe.constant and recipe.rate(7, 3) is recipe.learning_rate
    for fields in ({"clip_norm": 1.0}, {"warmup": 1}, {"lr_schedule": "cosine"}):
        assert not Recipe(**fields).steady
    assert rates.rate("cosine", 10, 0, 1)(10) > 0, "the last step still counts"


def start():
    draw = torch.Generator().manual_seed(0)
    return {"a": torch.randn(3, 4, 2, generator=draw), "b": torch.randn(5, 1, 3, generator=draw)}


AXIS = {"a": 0, "b": 2}
RECIPES = [
    Recipe(epochs=6, learning_rate=0.3, momentum=0.9, weight_decay=0.01, lr_schedule="cosine", warmup=2),
    Recipe(epochs=6, learning_rate=0.3, clip_norm=2.5),
    Recipe(epochs=6, learning_rate=0.3, clip_norm=2.5, momentum=0.5, lr_schedule="step:1,3:0.2"),
    Recipe(epochs=6, learning_rate=0.1, optimizer="adam", weight_decay=0.1, clip_norm=1.0),
    Recipe(
        epochs=6, learning_rate=0.1, optimizer="adamw", weight_decay=0.1, clip_norm=2, lr_schedule="cosine"
    ),
]


def slope(value, j, step):
    """A replica's gradient: short, longer, long."""
    return 0.3 * (0.1, 1.0, 10.0)[j] * (torch.cos(3 * value + step) + value)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_replica_steps_as_torch_does_alone(recipe):
    params = start()
    alone = [{k: v.select(AXIS[k], j).clone().requires_grad_() for k, v in params.items()} for j in range(3)]
    loops = [Steps(one.values(), recipe, 2) for one in alone]
    optimizer = optimizers.build(recipe, AXIS, 2)
    slots = optimizer.init(params)
    clipped = 0
    for step in range(1, 13):
        seen = {name: value.clone() for name, value in params.items()}

        def add(into, weight, at=seen, k=step):
            for name, value in into.items():
                parts = [slope(at[name].select(AXIS[name], j), j, k) for j in range(3)]
                value.add_(torch.stack(parts, AXIS[name]), alpha=weight)

        optimizer.update(params, slots, step, add)
        for j, (one, loop) in enumerate(zip(alone, loops, strict=True)):
            for value in one.values():
                value.grad = slope(value.detach(), j, step)
            norm = sum(float((value.grad**2).sum()) for value in one.values()) ** 0.5
            clipped += 0 < recipe.clip_norm < norm
            loop.take()
            for name, value in one.items():
                torch.testing.assert_close(
                    params[name].select(AXIS[name], j), value.detach(), rtol=1e-4, atol=1e-5
                )
    assert (0 < clipped < 36) == bool(recipe.clip_norm)


def plain_regression(data, labels_of, recipe, seed):
    """Softmax regression from zeros, as PyTorch trains it; ``labels_of(epoch)`` are its labels."""
    net = nn.Linear(data.d, data.classes).double()
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    x, n = data.x.double().flatten(1), len(data.y)
    steps = Steps(net.parameters(), recipe, -(-n // recipe.batch_size))
    for epoch in range(recipe.epochs):
        order = torch.randperm(n, generator=generator(seed, "batches", epoch))
        for rows in order.split(recipe.batch_size):
            nn.functional.cross_entropy(net(x[rows]), labels_of(epoch)[rows]).backward()
            steps.take()
    return float(nn.functional.cross_entropy(net(data.x_test.double().flatten(1)), data.y_test).detach())


@pytest.mark.parametrize(
    "fields",
    [
        {"learning_rate": 0.5, "lr_schedule": "cosine", "warmup": 1},
        {"learning_rate": 0.5, "lr_schedule": "step:2,3:0.1", "momentum": 0.9, "clip_norm": 0.2},
        {"learning_rate": 0.05, "optimizer": "adamw", "weight_decay": 0.3, "clip_norm": 0.5, "warmup": 2},
    ],
)
def test_clean_training_is_pytorchs(fields, multi):
    recipe = Recipe(epochs=4, batch_size=32, **fields)
    (run,) = train(multi, threats=[], seeds=[2], recipe=recipe).runs
    wanted = plain_regression(multi, lambda epoch: multi.y, recipe, 2)
    assert run.curve("test_loss")[-1] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("name", ["logistic", "mlp:5"])
def test_parts_of_the_data_train_by_them_too(name, multi):
    model = models.build(name, multi)
    x, few = model.prepare(multi.x), [torch.arange(20), torch.arange(20, 38)]
    recipe = Recipe(epochs=5, batch_size=6, learning_rate=0.4, clip_norm=0.3, lr_schedule="cosine", warmup=1)
    whole = Recipe(epochs=9, batch_size=99, learning_rate=0.4, clip_norm=0.3, lr_schedule="step:4:0.1")
    for own in (recipe, whole):
        parts = parts_of(few)
        found = train_own(model, own, x, multi.y[parts.rows], parts, [0, 1])
        each = -(-20 // own.batch_size)
        for j, rows in enumerate(few):
            params = {k: v.requires_grad_() for k, v in model.init(generator(j, "init"), 1).items()}
            steps = Steps(params.values(), own, each)
            for epoch in range(own.epochs):
                order = torch.arange(len(rows))
                if each > 1:
                    order = torch.randperm(len(rows), generator=generator(j, "batches", epoch))
                for b in range(each):
                    batch = rows[order[b * len(rows) // each : (b + 1) * len(rows) // each]]
                    nn.functional.cross_entropy(
                        model.logits(params, x[batch])[:, :, 0], multi.y[batch]
                    ).backward()
                    steps.take()
            for key, value in params.items():
                got = found[key].select(model.replica_axis[key], j)
                torch.testing.assert_close(
                    got, value.detach().squeeze(model.replica_axis[key]), rtol=1e-3, atol=1e-4
                )


def test_local_steps_are_as_long_as_the_schedule_says(multi):
    federation = Federation(workers=4, hostile=1, local_steps=2)
    threats = [Threat(selection="random")]
    losses = {}
    for schedule in ("constant", "step:1:0.0001"):
        recipe = Recipe(epochs=2, batch_size=16, learning_rate=0.3, lr_schedule=schedule)
        (run, *_) = train(multi, threats=threats, seeds=[0], recipe=recipe, federation=federation).runs
        losses[schedule] = run.curve("test_loss")
    first, second = losses.values()
    assert first[0] == second[0] and second[1] == pytest.approx(second[0], abs=1e-3) != first[1]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"optimizer": "adamw"}, "set weight_decay, such as 0.01, or set optimizer to 'adam'"),
        ({"optimizer": "admw"}, "did you mean 'adamw'?"),
        ({"clip_norm": -1}, "clip_norm is -1.0, but must be 0 or more"),
        ({"clip_norm": "1"}, "clip_norm is '1'"),
        ({"lr_schedule": "cosin"}, "unknown lr_schedule 'cosin'; did you mean 'cosine'?"),
        ({"lr_schedule": 3}, "unknown lr_schedule 3"),
        ({"lr_schedule": "step"}, "as in 'step:30,60:0.1'"),
        ({"lr_schedule": "step:30"}, "as in 'step:30,60:0.1'"),
        ({"lr_schedule": "step:60,30:0.1"}, "must name rising epochs"),
        ({"lr_schedule": "step:0:0.1"}, "must name rising epochs"),
        ({"lr_schedule": "step:3:1"}, "what to multiply with"),
        ({"lr_schedule": "step:3:nan"}, "what to multiply with"),
        ({"lr_schedule": "step:3,x:0.1"}, "must name rising epochs"),
        ({"lr_schedule": "step:9,10:0.1", "epochs": 10}, "would do nothing after 10 epochs"),
        ({"warmup": 10, "epochs": 10}, "warmup is 10, but there are only 10 epochs"),
        ({"warmup": 0.5}, "warmup is 0.5, but must be a whole number"),
    ],
)
def test_mistakes_are_told_in_one_line(fields, words):
    with pytest.raises(TurncoatError) as told:
        Recipe(**fields)
    assert words in str(told.value) and "\n" not in str(told.value)


def test_equal_schedules_are_spelled_alike():
    assert Recipe(lr_schedule="step: 30, 60 :0.10").lr_schedule == "step:30,60:0.1"


@pytest.mark.parametrize(
    ("fields", "last", "words"),
    [
        ({"clip_norm": 1.0}, 0, "leave clip_norm out, or set selection to 'optimal'"),
        ({"warmup": 1}, 1, "warmup is 1: leave warmup out, or last_rounds"),
        ({"lr_schedule": "cosine"}, 1, "lr_schedule is 'cosine': leave lr_schedule out"),
        ({"optimizer": "adamw", "weight_decay": 0.1}, 0, "set optimizer to 'sgd'"),
    ],
)
def test_plans_are_refused_where_they_would_be_of_other_steps(fields, last, words, multi):
    threat = Threat(0.5, selection="planned", last_rounds=last)
    with pytest.raises(TurncoatError) as told:
        train(multi, threats=[threat], seeds=[0], recipe=Recipe(epochs=3, **fields))
    assert words in str(told.value)


def test_a_plans_steps_are_equally_long_whatever_the_rate():
    plain = timing(Recipe(epochs=20, learning_rate=0.1), 7)
    assert [plain.phase_of.count(i) for i in range(20)] == [5] * 20
    recipe = Recipe(epochs=20, learning_rate=0.1, momentum=0.5, lr_schedule="step:10:0.25", warmup=4)
    found = timing(recipe, 7)
    lengths = [sum(recipe.rate(7 * epoch + step, 7) for step in range(1, 8)) for epoch in range(20)]
    assert found.rate * len(found.phase_of) == pytest.approx(2 * sum(lengths))
    for phase, end in enumerate(found.ends):
        begin = found.ends[phase - 1] if phase else 0
        share = sum(lengths[begin:end]) / sum(lengths)
        assert abs(found.phase_of.count(phase) - 100 * share) <= 1
    assert found.ends[-1] == 20 and found.looks == {98: 0.5, 100: 0.5}


def test_a_plan_beats_random_flips_where_the_rate_falls(multi):
    recipe = Recipe(epochs=8, batch_size=16, learning_rate=0.3, lr_schedule="cosine", warmup=1)
    threats = [Threat(1.0, 0.25, selection=rule) for rule in ("planned", "random")]
    found = train(multi, threats=threats, seeds=[0, 1], recipe=recipe)
    clean, planned, random = (
        np.mean([run.curve("accuracy")[-1] for run in found.runs[i : i + 2]]) for i in (0, 2, 4)
    )
    assert planned < random - 0.1 and random <= clean + 0.05


def test_clipping_is_refused_where_workers_step_themselves():
    federation = Federation(workers=4, hostile=1, local_steps=2)
    with pytest.raises(TurncoatError, match="clip_norm 1 would do nothing: leave clip_norm out"):
        placed_in(federation, Threat(), Recipe(clip_norm=1.0))
