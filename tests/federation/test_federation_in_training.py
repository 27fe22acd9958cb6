"""Federations of modules with BatchNorm and dropout, against plain PyTorch loops over workers."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from images import ends_as_never_stopped, images
from plain_training import Steps
from turncoat import Recipe, Threat, models, train
from turncoat.errors import EvaluationModeWarning
from turncoat.federation.federation import Federation
from turncoat.federation.in_training import mean_statistics
from turncoat.federation.threats import placed_in
from turncoat.fields import written
from turncoat.models.factory import factory
from turncoat.models.module import seeded
from turncoat.randomness import generator
from turncoat.threat import CLEAN
from turncoat.training.stack import material, stack_run
from turncoat.training.task import IN_TRAINING

NETS = ("networks:normed", "networks:batch_norm", "networks:dropout", "networks:own_mode")
FEDERATIONS = {
    "gradients": Federation(workers=4, hostile=1),
    "differences": Federation(workers=4, hostile=2, local_steps=2),
    "some, by size": Federation(workers=4, hostile=1, partition="dirichlet:5", participation=0.5, weighting="size"),
    "some local steps": Federation(workers=3, hostile=1, local_steps=3, participation=0.67),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _factories(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "models"))


@pytest.fixture(scope="module")
def data():
    return images(72)


def plain(name, data, recipe, federation, crowd, threat, seed):
    """One federation worker by worker, as PyTorch trains it; its module, and objectives in training mode."""
    drawn = int(torch.randint(2**62, (1,), generator=generator(seed, "init")))
    net = seeded(factory(name, data), drawn)
    x = data.x.view(-1, *data.shape)
    labels = data.y.clone()
    for shard in crowd.shards[: federation.hostile]:
        labels[shard] = (labels[shard] + 1) % data.classes if not threat.is_clean else labels[shard]
    steps, step, objectives = Steps(net.parameters(), recipe, crowd.rounds), 0, []
    for epoch in range(recipe.epochs):
        objectives.append([])
        everybody = range(federation.workers)
        for own in (data.y, labels):
            total = [torch.zeros_like(p) for p in net.parameters()]
            for number, rows in enumerate(crowd.epoch(seed, epoch), step + 1):
                for w in everybody:
                    for i, part in enumerate(rows[w].split(recipe.batch_size)):
                        slopes = in_training(
                            copy.deepcopy(net), x[part], own[part], seed, number, threat, w, i
                        )
                        for value, g in zip(total, slopes, strict=True):
                            value += g * len(part) / (crowd.rounds * rows.numel())
            objectives[-1].append(total)
        before, after = objectives[-1]
        objectives[-1] = [
            float(sum((a * g).sum() for a, g in zip(before, one, strict=True))) for one in (before, after)
        ]
        for turn, rows in enumerate(crowd.epoch(seed, epoch)):
            step += 1
            messages, nets = [], []
            who = crowd.present(seed, epoch, turn).tolist()
            for w in who:
                local = copy.deepcopy(net)
                for i, part in enumerate(rows[w].split(recipe.batch_size)):
                    slopes = in_training(local, x[part], labels[part], seed, step, threat, w, i)
                    if federation.local_steps > 1:
                        for p, g in zip(local.parameters(), slopes, strict=True):
                            p.data -= recipe.learning_rate * g
                if federation.local_steps > 1:
                    slopes = [
                        a.data - b.data for a, b in zip(net.parameters(), local.parameters(), strict=True)
                    ]
                messages.append(slopes)
                nets.append(local)
            weight = torch.ones(len(who))
            if federation.weighting == "size":
                weight = torch.tensor([float(len(crowd.shards[w])) for w in who])
            weight = weight / weight.sum()
            for p, *sent in zip(net.parameters(), *messages, strict=True):
                p.grad = sum(a * g for a, g in zip(weight, sent, strict=True))
            if federation.local_steps > 1:
                for p in net.parameters():
                    p.data -= p.grad
            else:
                steps.take()
            for key, value in net.named_buffers():
                kept = [dict(one.named_buffers())[key].double() for one in nets]
                mean = sum(a * one for a, one in zip(weight, kept, strict=True))
                value.copy_(mean if value.is_floating_point() else mean.round())
    return net, objectives


def in_training(net, x, y, seed, step, threat, worker, local):
    """The gradient of a batch in training mode; the module keeps the batch's statistics."""
    net.train()
    draw = generator(seed, "in training", step, written(threat), worker, local).initial_seed()
    with torch.random.fork_rng():
        torch.manual_seed(draw)
        loss = nn.functional.cross_entropy(net(x), y)
    return torch.autograd.grad(loss, list(net.parameters()))


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("how", FEDERATIONS)
def test_federations_train_as_pytorch_does_worker_by_worker(name, how, data):
    federation = FEDERATIONS[how]
    recipe = Recipe(
        epochs=2, batch_size=6, learning_rate=0.1, momentum=0.9 if federation.local_steps == 1 else 0.0
    )
    threats = (CLEAN, placed_in(federation, Threat(selection="cyclic"), recipe))
    run = stack_run(material(models.build(name, data), data, "cpu"), recipe, 1, threats, federation)
    list(run.advance())
    for column, threat in enumerate(threats):
        net, objectives = plain(name, data, recipe, federation, run.task.way.crowd, threat, 1)
        own = dict(net.named_parameters()) | dict(net.named_buffers())
        for key, value in run.params().items():
            torch.testing.assert_close(value[column], own[key].detach(), rtol=2e-3, atol=2e-4)
        if not threat.is_clean:
            np.testing.assert_allclose(run.curves()[:, column, IN_TRAINING], objectives, rtol=5e-3, atol=1e-4)


def test_the_mean_of_statistics_is_weighed_and_whole_numbers_stay_whole():
    reported = [
        {"mean": torch.tensor([[0.0, 2.0]]), "seen": torch.tensor([3])},
        {"mean": torch.tensor([[4.0, 2.0]]), "seen": torch.tensor([4])},
    ]
    found = mean_statistics(reported, torch.tensor([1.0, 3.0]))
    torch.testing.assert_close(found["mean"], torch.tensor([[3.0, 2.0]]))
    assert found["seen"].tolist() == [4] and found["seen"].dtype == torch.int64


@pytest.mark.filterwarnings("ignore:evaluation-mode")
@pytest.mark.parametrize("aggregator", ["trimmed_mean", "nnm+krum", "lfighter"])
@pytest.mark.parametrize(
    "threat",
    [
        Threat(),
        Threat(schedule="step"),
        Threat(selection="sign_flip"),
        Threat(selection="little_is_enough"),
        Threat(aware=True),
        Threat(knowledge="local"),
        Threat(goal="targeted"),
        Threat(selection="imitate:sign_flip"),
    ],
    ids=str,
)
def test_every_rule_and_attack_takes_such_models(aggregator, threat, data):
    federation = Federation(workers=5, hostile=1, aggregator=aggregator, worker_momentum=0.5)
    recipe = Recipe(epochs=1, batch_size=6, learning_rate=0.1)
    found = train(data, "networks:normed", [threat], seeds=[0], recipe=recipe, federation=federation)
    clean, attacked = found.runs
    assert np.isfinite(attacked.curves[:, :3]).all() and not np.array_equal(clean.curves, attacked.curves)


@pytest.mark.usefixtures("as_users_run")
def test_a_cut_federation_ends_as_one_that_was_never_stopped(data):
    recipe = Recipe(epochs=2, batch_size=6, learning_rate=0.1)
    federation = FEDERATIONS["some, by size"]
    threats = (CLEAN, placed_in(federation, Threat(), recipe))

    def run():
        return stack_run(
            material(models.build("networks:normed", data), data, "cpu"), recipe, 1, threats, federation
        )

    ends_as_never_stopped(run)


def test_a_federation_of_such_models_warns_as_pooled_training_does(data):
    with pytest.warns(EvaluationModeWarning, match="flips are exact for model 'networks:batch_norm'"):
        train(
            data, "networks:batch_norm", [Threat()], seeds=[0], recipe=Recipe(epochs=1, batch_size=6),
            federation=Federation(workers=3, hostile=1),
        )  # fmt: skip
