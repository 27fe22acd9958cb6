"""The convolutional network: its layout in memory, its scores by brute force, and what it refuses."""

import itertools
from functools import partial

import numpy as np
import pytest
import torch
from test_stacks import images, noise, stack
from torch import nn
from torch.func import vmap

from turncoat import Recipe, Threat, TurncoatError, from_arrays, models, train
from turncoat.models import cnn, module
from turncoat.models.cnn import ConvolutionalNetwork, channels_last
from turncoat.models.stack import zeros


@pytest.mark.parametrize("colours", [1, 3])
def test_channels_stand_last_in_memory(colours):
    x = torch.randn(4, colours, 6, 8)
    laid = channels_last(x)
    assert torch.equal(laid, x)
    # strides of one channel too, where torch sees no difference and convolves as if they stood first
    assert laid.stride() == (6 * 8 * colours, 1, 8 * colours, colours)


def test_it_is_the_plain_network():
    net = ConvolutionalNetwork((3, 9, 8), 4).double()
    plain = nn.Sequential(
        net.first, nn.ReLU(), nn.MaxPool2d(2), net.second, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), net.head
    )
    x = torch.randn(5, 3, 9, 8, dtype=torch.float64)
    torch.testing.assert_close(net(x), plain(x))


def test_flips_by_its_scores_are_the_minimum_over_all_labelings():
    data = images(3)
    model, params = stack("cnn:2", data, replicas=1)
    x, y, toward = model.prepare(data.x[:5]), data.y[:5], noise(params)
    scores = model.scores(params, x, toward)[:, :, 0]
    net = ConvolutionalNetwork(data.shape, 3, 2)

    def gradient(labels):
        leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
        out = torch.func.functional_call(net, {k: v[0] for k, v in leaves.items()}, (x,))
        loss = nn.functional.cross_entropy(out, labels, reduction="sum")
        return torch.autograd.grad(loss, list(leaves.values()))

    def objective(labels):
        return -float(sum((g * v).sum() for g, v in zip(gradient(labels), toward.values(), strict=True)))

    values = {c: objective(torch.tensor(c)) for c in itertools.product(range(3), repeat=5)}
    gain, best = (scores - scores.gather(1, y.unsqueeze(1))).min(1)
    for budget in range(6):
        chosen = y.clone()
        for i in gain.argsort()[:budget]:
            chosen[i] = best[i]
        least = min(v for c, v in values.items() if (torch.tensor(c) != y).sum() <= budget)
        assert objective(chosen) == pytest.approx(least, rel=1e-4, abs=1e-4)


def test_both_ways_to_run_it_agree():
    # on a GPU replicas run under vmap, on the CPU one by one
    net = ConvolutionalNetwork((3, 8, 8), 4, 2)
    params = {k: torch.stack([v.detach(), 1.1 * v.detach()]) for k, v in net.named_parameters()}
    draw = torch.Generator().manual_seed(0)
    call = module.functional(net)
    for own, shape in ((False, (5, 3, 8, 8)), (True, (2, 5, 3, 8, 8))):
        x = torch.randn(shape, generator=draw)
        together = vmap(call, (0, 0 if own else None), out_dims=2)(params, x)
        torch.testing.assert_close(module.stacked(call, own)(params, x), together, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [2, 7])
def test_replicas_that_share_convolutions_are_those_that_run_alone(channels, monkeypatch):
    monkeypatch.setattr(cnn, "TOGETHER", 4)  # two of a stack's three replicas at a time, or each by itself
    data = images(4)
    model, params = stack(f"cnn:{channels}", data)
    make = partial(ConvolutionalNetwork, data.shape, 4, channels)
    alone = module.module_stack("alone", make, data.x[:3], data.shape, 4)
    x, toward = model.prepare(data.x[:9]), noise(params)
    close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-5)
    close(model.logits(params, x), alone.logits(params, x))
    close(model.scores(params, x, toward), alone.scores(params, x, toward))
    logits, pull = model.forward(params, x)
    found, wanted = zeros(params), zeros(params)
    pull(logits, found, 0.5)
    alone.pullback(params, x)(logits, wanted, 0.5)
    for name, value in wanted.items():
        close(found[name], value)


def test_it_learns_and_the_attack_costs_it_more_than_random_flips():
    recipe = Recipe(epochs=8, batch_size=16, learning_rate=0.1)
    threats = [Threat(0.6, 0.6), Threat(0.6, 0.6, selection="random")]
    found = train(images(3, n=240), "cnn", threats=threats, seeds=[0], recipe=recipe)
    clean, optimal, random = (run.curve("accuracy")[-1] for run in found.runs)
    assert clean > 0.8 and optimal < random - 0.1


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("cnn", (12,), r"halves images twice, but an example here has shape \(12,\): .*use 'mlp'"),
        ("cnn", (8, 8), r"give x\[:, None\]"),
        ("cnn", (1, 3, 8), "both sides 4 or more"),
        ("cnn", (8, 8, 3), "channels last"),
        ("cnn:x", (1, 8, 8), "must be a whole number, 1 or more, as in 'cnn:16'"),
        ("cnn:0", (1, 8, 8), "must be a whole number"),
        ("cn", (1, 8, 8), "did you mean 'cnn'"),
    ],
)
def test_mistakes_are_told_in_one_line(name, shape, words):
    data = from_arrays(np.random.default_rng(0).normal(size=(30, *shape)), np.arange(30) % 3)
    with pytest.raises(TurncoatError, match=words):
        models.build(name, data)


def test_sizes():
    data = images(2)
    start = models.build("cnn:5", data).init(torch.Generator(), 1)
    assert start["first.weight"].shape == (1, 5, 1, 3, 3) and start["second.weight"].shape == (1, 10, 5, 3, 3)
    assert models.build("cnn:8", data).name == "cnn"


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 7)])
def test_its_own_scores_are_forward_modes(shape):
    draw = torch.Generator().manual_seed(0)
    data = from_arrays(torch.randn(20, *shape, generator=draw).numpy(), np.arange(20) % 4)
    own, generic = (
        models.build("cnn:3", data),
        module.module_stack("cnn:3", lambda: ConvolutionalNetwork(shape, 4, 3), data.x[:3], shape, 4),
    )
    params = {k: v + 0.2 * torch.randn(v.shape, generator=draw) for k, v in own.init(draw, 3).items()}
    x, toward = own.prepare(data.x), noise(params)
    torch.testing.assert_close(
        own.scores(params, x, toward), generic.scores(params, x, toward), rtol=1e-4, atol=1e-5
    )
