"""Losses for noisy labels: gradients against autograd of what the papers print, label scores by brute force."""

import pytest
import torch

from turncoat import models
from turncoat.attack.choosing import scores_for
from turncoat.attack.round import gradient_change, mean_gradient
from turncoat.defence import chain
from turncoat.defences.loss import loss_of
from turncoat.models.criterion import loss_scores as slow_scores
from turncoat.models.learned import residuals
from turncoat.models.stack import dot
from turncoat.randomness import generator
from turncoat.recipe import Recipe
from turncoat.training.guards import defended


def printed(name):
    """ℓ(logits (c,), label) as in the papers."""

    def gce(z, y, q=0.7):
        return (1 - z.softmax(0)[y] ** q) / q

    def mae(z, y):
        return (torch.nn.functional.one_hot(y, len(z)) - z.softmax(0)).abs().sum()

    def symmetric(z, y, a=0.3, b=0.5):
        p, hard = z.softmax(0), torch.nn.functional.one_hot(y, len(z)).to(z)
        log = torch.where(hard > 0, torch.zeros_like(hard), torch.full_like(hard, -4.0))
        return a * torch.nn.functional.cross_entropy(z, y) + b * -(p * log).sum()

    def smoothed(z, y):
        return torch.nn.functional.cross_entropy(z, y, label_smoothing=0.2)

    return {"gce:0.7": gce, "mae": mae, "symmetric:0.3:0.5": symmetric, "label_smoothing:0.2": smoothed}[name]


LOSSES = ("gce:0.7", "mae", "symmetric:0.3:0.5", "label_smoothing:0.2")
ALL = (*LOSSES, "clip:0.5", "gce:0.7+clip:0.2")


def made(data, text, model="logistic", replicas=2):
    """A defended model with parameters off its start, in double precision."""
    one = defended(models.build(model, data), Recipe(defence=text))
    params = one.init(generator(0, "init"), replicas)
    draw = generator(1, "noise")
    params = {
        k: v.double() + 0.3 * torch.randn(v.shape, generator=draw, dtype=torch.float64)
        for k, v in params.items()
    }
    return one, params, one.prepare(data.x.double())


@pytest.mark.parametrize("text", LOSSES)
def test_residuals_are_the_printed_losses_gradients(text, multi):
    model, params, x = made(multi, text)
    logits = model.logits(params, x[:9])
    labels = torch.arange(18).view(9, 2) % model.classes
    found = residuals(model, params, x[:9], logits, labels)
    for i in range(9):
        for j in range(2):
            z = logits[i, :, j].clone().requires_grad_()
            printed(text)(z, labels[i, j]).backward()
            torch.testing.assert_close(found[i, :, j], z.grad)


@pytest.mark.parametrize("text", LOSSES)
def test_scores_are_those_of_the_printed_loss(text, multi):
    model, params, x = made(multi, text, replicas=1)
    direction = {k: torch.randn_like(v) for k, v in params.items()}
    found = scores_for("scores", model, params, direction, x).squeeze(2)
    logits, tangent = model.logits(params, x).squeeze(2), model.scores(params, x, direction).squeeze(2)
    wanted = slow_scores(logits, tangent, printed(text))
    # up to what no label changes
    torch.testing.assert_close(found - found[:, :1], wanted - wanted[:, :1])


@pytest.mark.parametrize("text", ALL)
@pytest.mark.parametrize(
    ("kind", "model"), [("binary", "logistic"), ("multi", "logistic"), ("multi", "mlp:6")]
)
def test_a_flip_changes_the_objective_by_its_scores(text, kind, model, request):
    data = request.getfixturevalue(kind)
    one, params, x = made(data, text, model, replicas=1)
    direction = {k: torch.randn_like(v) for k, v in params.items()}
    scores = scores_for("scores", one, params, direction, x).squeeze(2)
    y, n, axis = data.y.unsqueeze(1), len(x), one.replica_axis
    before = mean_gradient(one, params, x, y)
    for row in (0, 5):
        for label in range(data.classes):
            new = y.clone()
            new[row] = label
            gain = -n * (
                dot(mean_gradient(one, params, x, new), direction, axis) - dot(before, direction, axis)
            )
            wanted = (scores[row, label] - scores[row, y[row, 0]]).view(1)
            torch.testing.assert_close(gain, wanted, atol=1e-9, rtol=1e-7)
            members, size = torch.arange(n), torch.tensor([n])
            change = gradient_change(one, params, x, members, y, new, size, n)
            torch.testing.assert_close(-n * dot(change, direction, axis), wanted, atol=1e-9, rtol=1e-7)


@pytest.mark.parametrize(
    ("kind", "model"), [("binary", "logistic"), ("multi", "logistic"), ("multi", "mlp:6")]
)
def test_label_norms_are_those_of_single_gradients(kind, model, request):
    data = request.getfixturevalue(kind)
    one, params, x = made(data, "none", model)
    norms = one.label_norms(params, x[:4], one.logits(params, x[:4]))
    for i in range(4):
        for label in range(data.classes):
            gradient = mean_gradient(one, params, x[i : i + 1], torch.full((1, 2), label))
            torch.testing.assert_close(norms[i, label], dot(gradient, gradient, one.replica_axis).sqrt())


def test_clipped_gradients_are_no_longer_than_the_norm(multi):
    model, params, x = made(multi, "clip:0.5")
    for i in range(6):
        gradient = mean_gradient(model, params, x[i : i + 1], multi.y[i : i + 1].unsqueeze(1).expand(-1, 2))
        assert (dot(gradient, gradient, model.replica_axis).sqrt() <= 0.5 + 1e-9).all()


def test_plain_training_keeps_its_fast_form():
    assert loss_of(chain("none")).plain and loss_of(chain("knn:3+redundancy:3")).plain
