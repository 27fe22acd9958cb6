"""Stacks on rows of their own against plain PyTorch loops, one replica at a time."""

import numpy as np
import pytest
import torch

from clouds import blobs
from turncoat import Recipe, TurncoatError, models
from turncoat.randomness import generator
from turncoat.training import own
from turncoat.training.own import parts_of, train_own

FULL = {"epochs": 7, "batch_size": 100, "learning_rate": 0.3}
RECIPES = [
    Recipe(**FULL),
    Recipe(**FULL, momentum=0.9, weight_decay=0.05),
    Recipe(**FULL | {"optimizer": "adam", "learning_rate": 0.01}),
    Recipe(**FULL | {"batch_size": 4}),
    Recipe(**FULL | {"batch_size": 4, "momentum": 0.5, "weight_decay": 0.01}),
]


def wide(classes):
    """More features than a part has rows."""
    return blobs(classes, n=40, d=23, seed=3)


def groups(n, seed=0):
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    # bags may share rows; no size is a multiple of 3: balanced labels' gradient is 0, which Adam divides by
    return [order[:11], order[11:21], order[21:29], order[25:36]]


def plainly(model, recipe, x, y, seed, batches):
    """One replica, by autograd and torch.optim."""
    params = {k: v.clone().requires_grad_() for k, v in model.init(generator(seed, "init"), 1).items()}
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    extra = {"momentum": recipe.momentum} if recipe.optimizer == "sgd" else {}
    optimizer = kinds[recipe.optimizer](
        list(params.values()), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, **extra
    )
    for epoch in range(recipe.epochs):
        order = torch.arange(len(x))
        if batches > 1:
            order = torch.randperm(len(x), generator=generator(seed, "batches", epoch))
        for batch in np.split(order.numpy(), [len(x) * i // batches for i in range(1, batches)]):
            optimizer.zero_grad()
            z = model.logits(params, x[batch])[:, :, 0]
            torch.nn.functional.cross_entropy(z, y[batch]).backward()
            optimizer.step()
    return {k: v.detach() for k, v in params.items()}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", ["logistic", "mlp:6"])
@pytest.mark.parametrize("classes", [2, 3])
def test_every_replica_trains_as_pytorch_does_alone(name, classes, recipe, monkeypatch):
    data = wide(classes)
    monkeypatch.setattr(own, "CACHE", 1)  # more than one tile
    monkeypatch.setattr(own, "LEAST", 3)
    model = models.build(name, data)
    x, parts, seeds = model.prepare(data.x), parts_of(groups(data.n)), (5, 6, 5, 7)
    draw = torch.Generator().manual_seed(1)
    labels = torch.randint(classes, parts.rows.shape, generator=draw)  # every replica its own flips
    stack = train_own(model, recipe, x, labels, parts, seeds)
    batches = -(-parts.rows.shape[1] // recipe.batch_size)
    for j, rows in enumerate(groups(data.n)):
        wanted = plainly(model, recipe, x[rows], labels[j, : len(rows)], seeds[j], batches)
        for key, axis in model.replica_axis.items():
            got = stack[key].narrow(axis, j, 1)
            torch.testing.assert_close(got, wanted[key], rtol=2e-4, atol=2e-5, msg=f"{key} of replica {j}")


@pytest.mark.parametrize("recipe", RECIPES[:2])
@pytest.mark.parametrize("classes", [2, 3])
def test_in_the_span_of_the_rows_the_iterates_are_the_same(classes, recipe, monkeypatch):
    data = wide(classes)
    model = models.build("logistic", data)
    x, parts = model.prepare(data.x), parts_of(groups(data.n))
    labels = data.y[parts.rows]
    monkeypatch.setattr(model.span.__class__, "weights", spied := Spy(model.span.__class__.weights))
    short = train_own(model, recipe, x, labels, parts, (0,) * 4)
    assert spied.calls == 1, "the span was not used"
    monkeypatch.setattr(own, "_span", lambda *_: None)
    whole = train_own(model, recipe, x, labels, parts, (0,) * 4)
    torch.testing.assert_close(short["weight"], whole["weight"], rtol=1e-4, atol=1e-5)


class Spy:
    def __init__(self, function):
        self.function, self.calls = function, 0

    def __get__(self, instance, owner):
        def call(*given):
            self.calls += 1
            return self.function(instance, *given)

        return call


def test_labels_of_one_part_move_no_other():
    data = wide(3)
    model = models.build("mlp:6", data)
    x, parts = model.prepare(data.x), parts_of(groups(data.n))
    recipe = RECIPES[4]
    before = train_own(model, recipe, x, data.y[parts.rows], parts, range(4))
    labels = data.y[parts.rows].clone()
    labels[2] = (labels[2] + 1) % 3
    after = train_own(model, recipe, x, labels, parts, range(4))
    for key, axis in model.replica_axis.items():
        moved = (before[key] != after[key]).movedim(axis, 0).flatten(1).any(1)
        assert moved.tolist() == [False, False, True, False], key


def test_what_cannot_train_is_told():
    data = wide(3)
    model, parts = models.build("logistic", data), parts_of(groups(data.n))
    with pytest.raises(TurncoatError, match="leave patience out"):
        train_own(model, Recipe(patience=2), model.prepare(data.x), data.y[parts.rows], parts, range(4))
    with pytest.raises(TurncoatError, match="part 1 has no row"):
        parts_of([torch.arange(3), torch.arange(0)])
