"""Defences of modules with BatchNorm and dropout, against plain PyTorch loops one by one."""

from pathlib import Path

import pytest
import torch
from torch import nn

from images import images
from plain_training import Steps
from turncoat import Recipe, Threat, TurncoatError, models, train
from turncoat.defences import gold
from turncoat.errors import EvaluationModeWarning
from turncoat.fields import written
from turncoat.models.factory import factory
from turncoat.models.module import seeded
from turncoat.randomness import generator
from turncoat.threat import CLEAN
from turncoat.training.stack import material, stack_run

NETS = ("networks:normed", "networks:batch_norm", "networks:dropout", "networks:own_mode")
THREATS = (CLEAN, Threat(1.0, 0.3), Threat(0.6, 0.5, selection="random"))


@pytest.fixture(autouse=True)
def _factories(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "models"))


@pytest.fixture(scope="module")
def data():
    return images(48)


def used(defence, x, y, labels, seed):
    """Which labels of a round count; None where nothing but known ones do."""
    if defence == "knn:3":
        away = torch.cdist(x.flatten(1).double(), x.flatten(1).double()).fill_diagonal_(torch.inf)
        near = away.topk(3, largest=False).indices
        return torch.tensor([sum(int(labels[k] == labels[i]) for k in near[i]) >= 1.5 for i in range(len(y))])
    return torch.ones(len(y), dtype=torch.bool)


def losses_of(defence, z, labels):
    if defence == "gce:0.5":
        return (1 - z.softmax(1).gather(1, labels.unsqueeze(1)).squeeze(1) ** 0.5) / 0.5
    return nn.functional.cross_entropy(z, labels, reduction="none")


def plain(name, data, recipe, threat, rounds, seed):
    """One module as PyTorch trains it on the labels of these rounds, without what its defence drops."""
    drawn = int(torch.randint(2**62, (1,), generator=generator(seed, "init")))
    net, x, y = seeded(factory(name, data), drawn), data.x.view(-1, *data.shape), data.y
    steps, step = Steps(net.parameters(), recipe, -(-len(y) // recipe.batch_size)), 0
    known = gold.rows(len(y), 20, seed)
    for epoch, labels in enumerate(rounds):
        counted = used(recipe.defence, x, y, labels, seed)
        order = torch.randperm(len(y), generator=generator(seed, "batches", epoch))
        for rows in order.split(recipe.batch_size):
            step += 1
            net.train()
            own = labels[rows]
            if recipe.defence == "gold_alone:20":
                rows = gold.batch(known, seed, step)
                own = y[rows]
            with torch.random.fork_rng():
                torch.manual_seed(generator(seed, "in training", step, written(threat)).initial_seed())
                z = net(x[rows])  # a row whose label is dropped stays in the batch
            losses = losses_of(recipe.defence, z, own)
            kept = counted[rows]
            if recipe.defence == "trimmed_loss:0.3":
                kept = torch.ones(len(rows), dtype=torch.bool)
                kept[losses.argsort(descending=True)[: int(0.3 * len(rows))]] = False
            (losses * kept).sum().div(max(1, int(kept.sum()))).backward()
            steps.take()
    return net


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("defence", ["gce:0.5", "trimmed_loss:0.3", "knn:3", "gold_alone:20"])
def test_defended_stacks_train_as_pytorch_does_one_by_one(name, defence, data):
    recipe = Recipe(epochs=2, batch_size=12, learning_rate=0.1, momentum=0.9, defence=defence)
    run = stack_run(material(models.build(name, data), data, "cpu"), recipe, 1, THREATS)
    rounds = {}
    for _ in run.advance():
        if run.main.labels is not None:  # the last step of an epoch has let go of them
            rounds[run.main.epoch] = run.main.labels.long().clone()
    flipped = (rounds[0] != data.y.unsqueeze(1)).sum(0).tolist()
    assert len(rounds) == 2 and flipped[0] == 0 and min(flipped[1:]) > 0
    for column, threat in enumerate(THREATS):
        net = plain(name, data, recipe, threat, [rounds[e][:, column] for e in range(2)], 1)
        own = dict(net.named_parameters()) | dict(net.named_buffers())
        for key, value in run.params().items():
            torch.testing.assert_close(
                value[column], own[key].detach(), rtol=2e-3, atol=2e-4, msg=f"{threat} {key}"
            )


@pytest.mark.parametrize(
    ("defence", "fields"),
    [
        ("redundancy:3", {}),
        ("partitions:2", {}),
        ("partitions:2+knn:3", {"aware": True}),
        ("knn:3", {"aware": True}),
        ("trimmed_loss:0.3", {"aware": True}),
        ("trimmed_loss:0.3", {"schedule": "step"}),
        ("symmetric:0.3:0.5+trimmed_loss:0.3", {"schedule": "once"}),
        ("gold_alone:20", {"schedule": "step"}),
    ],
)
def test_defences_go_together_with_such_models(defence, fields, data):
    recipe = Recipe(epochs=2, batch_size=12, learning_rate=0.1, defence=defence)
    with pytest.warns(EvaluationModeWarning):
        found = train(data, "networks:normed", [Threat(0.6, 0.5, **fields)], seeds=[0], recipe=recipe)
    for run in found.runs:
        assert (run.curve("accuracy") > 0).all()


@pytest.mark.filterwarnings("ignore:evaluation-mode")
@pytest.mark.parametrize(
    ("defence", "words"),
    [
        (
            "gold:20",
            "defence 'gold' weighs examples by gradients of their own, which they don't have in a batch: leave",
        ),
        ("gold:20+knn:3", "leave gold out"),
        (
            "confident",
            "defence 'confident' trains models on parts of the rows in one mode: leave confident out",
        ),
        ("clip:1", "leave clip out"),
    ],
)
def test_what_has_no_meaning_in_training_mode_is_refused(defence, words, data):
    recipe = Recipe(epochs=1, batch_size=12, defence=defence)
    with pytest.raises(TurncoatError) as told:
        train(data, "networks:batch_norm", [Threat(0.5)], seeds=[0], recipe=recipe)
    assert words in str(told.value) and "\n" not in str(told.value)
