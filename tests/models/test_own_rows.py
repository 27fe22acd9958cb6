"""Stacks whose replicas each eat rows of their own, against the same replicas one by one on the shared forward."""

import numpy as np
import pytest
import torch
from test_stacks import images, noise, stack

from turncoat.models import module
from turncoat.models.stack import take
from turncoat.models.vit import SIZES, VisionTransformer

NAMES = ("logistic", "mlp:7", "cnn:3", "vit-tiny", "networks:convolutions")
REPLICAS = 3


@pytest.fixture(scope="module", params=[2, 4])
def data(request):
    return images(request.param)


@pytest.fixture(autouse=True)
def _factories(monkeypatch):
    monkeypatch.syspath_prepend(str(__import__("pathlib").Path(__file__).parent))


def own_inputs(model, data, size=5):
    draw = torch.Generator().manual_seed(4)
    rows = torch.randint(data.n, (REPLICAS, size), generator=draw)
    rest = torch.randn(size, data.classes, REPLICAS, generator=draw)
    return torch.stack([model.prepare(data.x[own]) for own in rows]), rest


@pytest.mark.parametrize("laid", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_own_rows_are_each_replica_alone(name, laid, data):
    model, params = stack(name, data, REPLICAS)
    x, rest = own_inputs(model, data)
    into = noise(params, 3)
    alone = [take(into, torch.tensor([j]), model.replica_axis) for j in range(REPLICAS)]
    if laid:
        params, into = model.lay_own(params), model.lay_own(into)
    logits, pull = model.forward_own(params, x)
    assert logits.shape == (5, data.classes, REPLICAS)
    pull(rest, into, -0.25)
    for j in range(REPLICAS):
        one = take(params, torch.tensor([j]), model.replica_axis)
        wanted, pull_one = model.forward(one, x[j])
        torch.testing.assert_close(logits[:, :, j : j + 1], wanted, rtol=1e-4, atol=1e-5)
        pull_one(rest[:, :, j : j + 1].contiguous(), alone[j], -0.25)
        got = take(into, torch.tensor([j]), model.replica_axis)
        for key, value in alone[j].items():
            torch.testing.assert_close(got[key], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_may_be_stepped_in_place(name, data):
    model, params = stack(name, data, REPLICAS)
    x, rest = own_inputs(model, data)
    apart = {key: value.clone() for key, value in params.items()}
    model.forward_own(params, x)[1](rest, apart, -0.1)
    model.forward_own(params, x)[1](rest, params, -0.1)
    for key, value in apart.items():
        torch.testing.assert_close(params[key], value)


@pytest.mark.parametrize("name", NAMES)
def test_laying_out_keeps_values_and_shapes_in_memory_of_its_own(name, data):
    model, params = stack(name, data, REPLICAS)
    laid = model.lay_own(params)
    for key, value in params.items():
        np.testing.assert_array_equal(laid[key], value)
        assert laid[key].data_ptr() != value.data_ptr()


def test_both_ways_to_run_modules_agree():
    # on a GPU replicas run under vmap, on the CPU one by one
    net = VisionTransformer((1, 8, 8), 4, SIZES["vit-tiny"])
    params = {k: torch.stack([v.detach(), 1.1 * v.detach()]) for k, v in net.named_parameters()}
    x = torch.randn(2, 5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    call = module.functional(net)
    apart = module.stacked(call, own=True)(params, x)
    together = torch.func.vmap(call, (0, 0), out_dims=2)(params, x)
    torch.testing.assert_close(apart, together, rtol=1e-4, atol=1e-5)
