"""Modules that act differently while they train, in stacks, against plain PyTorch loops one by one."""

import copy
import dataclasses
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import torch
from test_stacks import images, noise
from torch import nn
from torch.func import functional_call

from images import ends_as_never_stopped
from plain_training import Steps
from turncoat import Recipe, Threat, TurncoatError, audit, certify, models, train
from turncoat.attack.round import mean_gradient
from turncoat.cli.show import warning_lines
from turncoat.errors import EvaluationModeWarning
from turncoat.federation.federation import Federation
from turncoat.fields import written
from turncoat.models.factory import factory
from turncoat.models.module import seeded
from turncoat.randomness import generator
from turncoat.sweep import experiment, runner
from turncoat.sweep.packing import unpack
from turncoat.sweep.store import open_store
from turncoat.threat import CLEAN
from turncoat.training.stack import material, stack_run
from turncoat.training.steps import draws
from turncoat.training.task import IN_TRAINING, start

NETS = ("networks:normed", "networks:batch_norm", "networks:dropout", "networks:own_mode")


@pytest.fixture(autouse=True)
def _factories(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture(scope="module")
def data():
    return images(3, n=36)


class Plain:
    """One module as PyTorch trains it: in training mode, attacked and evaluated in evaluation mode."""

    def __init__(self, name, data, seed):
        drawn = int(torch.randint(2**62, (1,), generator=generator(seed, "init")))
        make = factory(name, data)
        self.net = seeded(make, drawn)
        self.data, self.seed = data, seed
        self.x = data.x.view(-1, *data.shape)

    def gradient(self, x, y):
        self.net.eval()
        return torch.autograd.grad(nn.functional.cross_entropy(self.net(x), y), list(self.net.parameters()))

    def worst(self, threat, own, target):
        """The round's labels, by the gradient of every example with every label in evaluation mode."""
        y, values = self.data.y, torch.empty(len(own), self.data.classes)
        toward = [-g for g in self.gradient(self.x, y)]
        if threat.goal == "targeted":
            toward = [p.detach() - t.detach() for p, t in zip(self.net.parameters(), target, strict=True)]
        for i, row in enumerate(own):
            for c in range(self.data.classes):
                g = self.gradient(self.x[row : row + 1], torch.tensor([c]))
                values[i, c] = -sum((a * b).sum() for a, b in zip(g, toward, strict=True))
        labels = y.clone()
        gain, best = (values - values.gather(1, y[own].unsqueeze(1))).min(1)
        for i in gain.argsort()[: threat.flips(len(y))]:
            labels[own[i]] = best[i] if gain[i] < 0 else y[own[i]]
        return labels

    def in_training(self, batches, labels, step, threat, target):
        """The objective before and after with the gradients of the steps to come, at the parameters of now."""
        found = []
        for own in (self.data.y, labels):
            total = [torch.zeros_like(p) for p in self.net.parameters()]
            for number, rows in enumerate(batches, step + 1):
                net = copy.deepcopy(self.net).train()  # its statistics move with every batch
                with torch.random.fork_rng():
                    torch.manual_seed(self.draw(number, threat))
                    loss = nn.functional.cross_entropy(net(self.x[rows]), own[rows], reduction="sum")
                for value, g in zip(total, torch.autograd.grad(loss, list(net.parameters())), strict=True):
                    value += g / sum(map(len, batches))
            found.append(total)
        toward = [-g for g in found[0]]
        if threat.goal == "targeted":
            toward = [p.detach() - t.detach() for p, t in zip(self.net.parameters(), target, strict=True)]
        return [-sum(float((g * d).sum()) for g, d in zip(one, toward, strict=True)) for one in found]

    def draw(self, step, threat):
        return generator(self.seed, "in training", step, written(threat)).initial_seed()

    def train(self, threat, recipe, target=None, honest=None):
        """Test losses, epoch by epoch, and what objectives the flips have in training mode."""
        y = self.data.y if honest is None else honest
        n, losses, step, objectives = len(y), [], 0, []
        steps = Steps(self.net.parameters(), recipe, -(-n // recipe.batch_size))
        for epoch in range(recipe.epochs):
            labels = y
            if not threat.is_clean:
                order = torch.randperm(n, generator=generator(self.seed, "access", epoch))
                labels = self.worst(threat, order[: threat.writable(n)], target)
            order = torch.randperm(n, generator=generator(self.seed, "batches", epoch))
            batches = order.split(recipe.batch_size)
            if not threat.is_clean:
                objectives.append(self.in_training(batches, labels, step, threat, target))
            for rows in batches:
                step += 1
                self.net.train()
                with torch.random.fork_rng():
                    torch.manual_seed(self.draw(step, threat))
                    logits = self.net(self.x[rows])
                nn.functional.cross_entropy(logits, labels[rows]).backward()
                steps.take()
            self.net.eval()
            with torch.no_grad():
                z = self.net(self.data.x_test.view(-1, *self.data.shape))
            losses.append(float(nn.functional.cross_entropy(z, self.data.y_test)))
        return losses, objectives


RECIPES = [
    Recipe(epochs=2, batch_size=12, learning_rate=0.1, momentum=0.9, weight_decay=0.05),
    Recipe(epochs=2, batch_size=12, learning_rate=0.02, optimizer="adamw", weight_decay=0.1, clip_norm=1.0),
]


@pytest.mark.usefixtures("as_users_run")  # the loops are slow enough
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", NETS)
def test_stacks_train_as_pytorch_does_one_by_one(name, recipe, data):
    threats = (CLEAN, Threat(1.0, 0.3), Threat(0.7, 0.3), Threat(0.6, 0.4, goal="targeted"))
    run = stack_run(material(models.build(name, data), data, "cpu"), recipe, 1, threats)
    list(run.advance())
    target = Plain(name, data, 1)
    target.train(CLEAN, recipe, honest=(data.y + 1) % data.classes)
    for column, threat in enumerate(threats):
        plain = Plain(name, data, 1)
        wanted, objectives = plain.train(threat, recipe, list(target.net.parameters()))
        got = run.curves()[:, column]
        np.testing.assert_allclose(got[:, 2], wanted, rtol=2e-3, err_msg=str(threat))
        if threat.is_clean:
            assert np.isnan(got[:, IN_TRAINING]).all()
        else:
            np.testing.assert_allclose(got[:, IN_TRAINING], objectives, rtol=5e-3, atol=1e-4)
            assert not np.allclose(got[:, 4:6], got[:, IN_TRAINING], rtol=1e-2)
        own = dict(plain.net.named_parameters()) | dict(plain.net.named_buffers())
        for key, value in run.params().items():
            torch.testing.assert_close(value[column], own[key].detach(), rtol=2e-3, atol=2e-4)


def test_replicas_keep_statistics_of_their_own(data):
    recipe = Recipe(epochs=2, batch_size=12, learning_rate=0.3)
    run = stack_run(
        material(models.build("networks:normed", data), data, "cpu"), recipe, 0, (CLEAN, Threat(1.0))
    )
    list(run.advance())
    params = run.params()
    assert {"1.running_mean", "1.running_var", "6.num_batches_tracked"} <= set(params)
    assert params["6.num_batches_tracked"].tolist() == [6, 6]
    assert not torch.allclose(params["6.running_mean"][0], params["6.running_mean"][1])


@pytest.mark.parametrize("name", NETS)
def test_no_replica_depends_on_its_neighbours(name, data):
    recipe = Recipe(epochs=2, batch_size=12, learning_rate=0.3)
    threats = [Threat(0.5, 0.5), Threat(0.5, 0.5, schedule="step"), Threat(0.5, 0.4, schedule="once")]
    with pytest.warns(
        EvaluationModeWarning, match=r"evaluation-mode: flips are exact .* it trains in another"
    ):
        together = train(data, name, threats=[*threats, Threat(1.0, 0.2)], seeds=[3], recipe=recipe)
    for threat in threats:
        with pytest.warns(EvaluationModeWarning):
            alone = train(data, name, threats=[threat], seeds=[3], recipe=recipe)
        for run in alone.runs:
            (same,) = [other for other in together.runs if other.threat == run.threat]
            np.testing.assert_array_equal(run.curves, same.curves)
        assert alone.runs[1].curve("flips").min() > 0


def test_of_several_rounds_in_an_epoch_the_mean_is_told(data):
    """At a vanishing learning rate every step has the gradient of its own batch at one and the same place."""
    recipe = Recipe(epochs=1, batch_size=12, learning_rate=1e-9)
    net = Plain("networks:batch_norm", data, 0)
    net.net.train()
    order = torch.randperm(len(data.y), generator=generator(0, "batches", 0))
    steps = []
    for rows in order.split(12):
        loss = nn.functional.cross_entropy(net.net(net.x[rows]), data.y[rows])
        slopes = torch.autograd.grad(loss, list(net.net.parameters()))
        steps.append(torch.cat([g.flatten() for g in slopes]))
    after = [torch.stack(steps[t:]).mean(0).square().sum() for t in range(3)]
    wanted = {
        "epoch": after[0],
        "epoch/3": sum(after) / 3,
        "step": torch.stack(steps).square().sum(1).mean(),
    }
    for schedule, before in wanted.items():
        with pytest.warns(EvaluationModeWarning):
            results = train(
                data,
                "networks:batch_norm",
                threats=[Threat(1.0, 0.3, schedule=schedule)],
                seeds=[0],
                recipe=recipe,
            )
        clean, attacked = results.runs
        assert np.isnan(clean.curves[:, IN_TRAINING]).all()
        found = attacked.curves[0, IN_TRAINING]
        np.testing.assert_allclose(found[0], float(before), rtol=1e-4)
        assert found[1] < found[0]


def test_other_models_have_no_such_objectives_and_their_rows_stay_as_they_were(tmp_path, data):
    asked = {"dataset": "digits", "epochs": 1, "write_access": 0.5, "seeds": 1, "batch_size": 512}
    for model in ("logistic", "networks:batch_norm"):
        one = experiment.experiment(asked | {"model": model})
        runner.sweep(one, tmp_path / "kept.db")
    with sqlite3.connect(tmp_path / "kept.db") as connection:
        widths = {
            json.loads(config).get("model", "logistic").partition("@")[0]: set()
            for (config,) in connection.execute("SELECT config FROM cells")
        }
        for config, curves in connection.execute("SELECT config, curves FROM cells"):
            name = json.loads(config).get("model", "logistic").partition("@")[0]
            if json.loads(config).get("write_access"):
                widths[name].add(unpack(curves)["curves"].shape[1])
    connection.close()
    assert widths == {"logistic": {8}, "networks:batch_norm": {10}}
    with open_store(tmp_path / "kept.db") as store:
        curves = store.curves()
    own = curves[curves["write_access"] > 0].set_index("model")["objective_after_in_training"]
    assert own.notna().tolist() == [not name.startswith("logistic") for name in own.index]


def test_every_replica_and_step_has_its_own_draw(data):
    threats = (CLEAN, Threat(0.5), Threat(0.5, 0.5))
    stacks = material(models.build("networks:dropout", data), data, "cpu")
    run = stack_run(stacks, Recipe(epochs=1), 0, threats)
    state = start(run.task)
    seen = set()
    for step in range(1, 4):
        seen |= set(draws(run.task, state, step))
    assert len(seen) == 9


@pytest.mark.parametrize("name", NETS)
def test_scores_are_exact_at_the_statistics_of_the_step(name, data):
    model, params = stack_of(name, data)
    x, toward = model.prepare(data.x[:7]), noise({k: params[k] for k in params if k not in model.statistics})
    scores = model.scores(params, x, toward)
    net = factory(name, data)().eval()
    gradient = mean_gradient(model, params, x, data.y[:7].unsqueeze(1).expand(-1, 3))
    assert set(gradient) == set(toward)
    for j in range(3):
        own = {key: value[j].clone() for key, value in params.items()}
        leaves = {key: own[key].requires_grad_() for key in toward}
        for i in range(7):
            for c in range(3):
                out = functional_call(net, own, (x[i : i + 1],))
                loss = nn.functional.cross_entropy(out, torch.tensor([c]))
                slopes = torch.autograd.grad(loss, list(leaves.values()))
                value = -sum((g * toward[k][j]).sum() for k, g in zip(leaves, slopes, strict=True))
                shares = (out.softmax(1)[0].detach() * scores[i, :, j]).sum()
                torch.testing.assert_close(scores[i, c, j] - shares, value, rtol=1e-3, atol=1e-4)
        whole = nn.functional.cross_entropy(functional_call(net, own, (x,)), data.y[:7])
        for key, g in zip(leaves, torch.autograd.grad(whole, list(leaves.values())), strict=True):
            torch.testing.assert_close(gradient[key][j], g, rtol=1e-3, atol=1e-5)


def stack_of(name, data):
    """Three replicas with other parameters and statistics."""
    model, draw = models.build(name, data), torch.Generator().manual_seed(5)
    return model, {
        key: value + 0.1 * torch.rand(value.shape, generator=draw) if value.is_floating_point() else value
        for key, value in model.init(draw, 3).items()
    }


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.parametrize("fields", [{}, {"schedule": "step"}])
def test_a_cut_run_ends_as_one_that_was_never_stopped(fields, data):
    recipe = Recipe(epochs=2, batch_size=12, learning_rate=0.1, momentum=0.9, lr_schedule="cosine")
    threats = (CLEAN, Threat(1.0, 0.3, **fields), Threat(0.6, 0.4, goal="targeted", **fields))

    def run():
        return stack_run(material(models.build("networks:normed", data), data, "cpu"), recipe, 1, threats)

    ends_as_never_stopped(run)


def test_nothing_else_is_touched(data):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    model = models.build("networks:normed", data)
    params = model.init(torch.Generator().manual_seed(0), 2)
    before = {key: value.clone() for key, value in params.items()}
    model.in_training.forward(params, model.prepare(data.x[:9]), [1, 2])
    assert all(torch.equal(value, before[key]) for key, value in params.items())
    assert torch.equal(torch.rand(2), expected), "the global generator was moved"
    alike = model.logits(params, model.prepare(data.x[:9]))
    torch.testing.assert_close(alike, model.logits(params, model.prepare(data.x[:9])))


def test_parts_that_rest_by_themselves_are_no_difference(data):
    model = models.build("networks:resting", data)
    assert model.in_training is None and not model.statistics


@pytest.mark.parametrize(
    ("threat", "recipe", "federation", "words"),
    [
        (Threat(0.5, knowledge="surrogate"), {}, Federation(), "set knowledge to 'omniscient' or 'local'"),
        (Threat(0.5, selection="planned"), {}, Federation(), "set selection to 'optimal'"),
        (
            Threat(0.5),
            {"batch_size": 35},
            Federation(),
            "set batch_size so that no batch has one example alone",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:evaluation-mode")
def test_what_looks_at_single_examples_is_refused(threat, recipe, federation, words, data):
    recipe = dataclasses.replace(Recipe(epochs=1), **recipe)
    with pytest.raises(TurncoatError) as told:
        train(data, "networks:batch_norm", threats=[threat], seeds=[0], recipe=recipe, federation=federation)
    assert words in str(told.value) and "\n" not in str(told.value)


def test_the_table_says_in_which_mode_flips_are_exact(data):
    recipe = Recipe(epochs=2, batch_size=12, learning_rate=0.1)
    with pytest.warns(EvaluationModeWarning):
        found = train(data, "networks:batch_norm", threats=[Threat(0.5)], seeds=[0], recipe=recipe)
    assert "evaluation-mode" in found.setting.warnings
    assert found.setting.in_training == "'1' (BatchNorm1d)" and np.isnan(found.setting.step_stability)
    line = warning_lines(["evaluation-mode"], float("nan"))[0]
    assert line.startswith("warning evaluation-mode: flips are exact for the model in evaluation mode")


def test_an_audit_refuses_them_before_it_trains(data):
    with pytest.raises(
        TurncoatError, match="an audit tries defences that look at single examples: use 'mlp'"
    ):
        audit(data, model="networks:batch_norm", quick=True)


def test_parts_do_not_train_them(data):
    with pytest.raises(TurncoatError, match=r"by '1' .BatchNorm1d.: parts train models that don't"):
        certify(data, model="networks:batch_norm", partitions=3)
