"""A network's curvature against the whole Hessian."""

import pytest
import torch
from torch.func import hessian

from turncoat import Recipe, models
from turncoat.models import curvature
from turncoat.models.curvature import mean_hessian_product
from turncoat.randomness import generator
from turncoat.training.stability import step_stability


def setting(data):
    model = models.build("mlp:3", data)
    x, params = model.prepare(data.x), model.init(generator(0, "init"), 1)
    shapes = {name: value.shape for name, value in params.items()}
    sizes = [value.numel() for value in params.values()]

    def loss(flat):
        parts = flat.split(sizes)
        stack = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        return torch.nn.functional.cross_entropy(model.logits(stack, x).squeeze(2), data.y)

    flat = torch.cat([value.flatten() for value in params.values()])
    return model, x, params, hessian(loss)(flat)


def test_product_with_the_whole_hessian(multi):
    model, x, params, full = setting(multi)
    draw = torch.Generator().manual_seed(0)
    v = {name: torch.randn(value.shape, generator=draw) for name, value in params.items()}
    soft = torch.nn.functional.one_hot(multi.y, multi.classes).float().unsqueeze(2)
    got = mean_hessian_product(model, params, v, x, soft)
    flat = torch.cat([part.flatten() for part in v.values()])
    torch.testing.assert_close(
        torch.cat([part.flatten() for part in got.values()]), full @ flat, rtol=1e-4, atol=1e-5
    )


def test_step_stability_of_a_network(multi, monkeypatch):
    model, x, _, full = setting(multi)
    monkeypatch.setattr(curvature, "ROUNDS", 200)
    sharpest = float(torch.linalg.eigvalsh(full).abs().max())
    recipe = Recipe(learning_rate=0.3, momentum=0.5, weight_decay=0.1)
    wanted = 0.3 * (sharpest + 0.1) / 2 / 1.5
    assert step_stability(model, recipe, x, multi.y) == pytest.approx(wanted, rel=1e-2)
