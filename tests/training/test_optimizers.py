"""Optimizers over stacked parameters against torch.optim, step for step; and what an aware attacker does."""

import numpy as np
import pytest
import torch

from turncoat import Recipe, Threat, train
from turncoat.models.stack import expand
from turncoat.training import optimizers
from turncoat.training.optimizers import adam, sgd

AXIS = {"a": 0, "b": 2}


def start():
    draw = torch.Generator().manual_seed(0)
    return {"a": torch.randn(3, 4, 2, generator=draw), "b": torch.randn(5, 1, 3, generator=draw)}


def slope(params, step):
    """A gradient that depends on the parameters and the step, so that a late or early read shows."""
    return {name: torch.cos(3 * value + step) + value for name, value in params.items()}


def run(optimizer, steps):
    params = start()
    slots = optimizer.init(params)
    for step in range(1, steps + 1):
        seen = {name: value.clone() for name, value in params.items()}

        def add(into, weight, at=seen, k=step):
            for name, g in slope(at, k).items():
                into[name].add_(g, alpha=weight)

        optimizer.update(params, slots, step, add)
        yield params, slots


CASES = [
    (sgd(0.1), torch.optim.SGD, {}),
    (sgd(0.1, momentum=0.9), torch.optim.SGD, {"momentum": 0.9}),
    (sgd(0.1, weight_decay=0.3), torch.optim.SGD, {"weight_decay": 0.3}),
    (sgd(0.1, 0.8, 0.3), torch.optim.SGD, {"momentum": 0.8, "weight_decay": 0.3}),
    (adam(0.1), torch.optim.Adam, {}),
    (adam(0.1, 0.3), torch.optim.Adam, {"weight_decay": 0.3}),
    (adam(0.1, 0.3, decoupled=True), torch.optim.AdamW, {"weight_decay": 0.3}),
    (adam(0.1, 0.0, (0.5, 0.9), 1e-3), torch.optim.Adam, {"betas": (0.5, 0.9), "eps": 1e-3}),
]


@pytest.mark.parametrize(("ours", "kind", "options"), CASES)
def test_equal_to_torch_step_for_step(ours, kind, options):
    theirs = {name: value.clone().requires_grad_() for name, value in start().items()}
    optimizer = kind(list(theirs.values()), lr=0.1, **options)
    for step, (params, _) in enumerate(run(ours, 30), 1):
        with torch.no_grad():
            for name, g in slope(theirs, step).items():
                theirs[name].grad = g
        optimizer.step()
        for name, value in params.items():
            torch.testing.assert_close(value, theirs[name].detach(), rtol=1e-4, atol=1e-5)


def test_plain_sgd_stores_nothing_and_steps_the_parameters_themselves():
    params, asked = start(), []
    before = {name: value.data_ptr() for name, value in params.items()}
    optimizer = sgd(0.1)
    assert optimizer.init(params) == {}
    optimizer.update(params, {}, 1, lambda into, weight: asked.append((into, weight)))
    assert asked[0][0] is params and asked[0][1] == -0.1
    assert before == {name: value.data_ptr() for name, value in params.items()}


def test_replicas_do_not_touch_each_other():
    single = adam(0.1)
    params = expand({"a": start()["a"][:1]}, 3, {"a": 0})
    slots = single.init(params)
    for step in range(1, 4):
        single.update(
            params, slots, step, lambda into, w: into["a"].add_(torch.arange(3.0).view(3, 1, 1), alpha=w)
        )
    torch.testing.assert_close(params["a"][0], start()["a"][0])
    assert (params["a"][1] < start()["a"][0]).all()


def test_precondition_is_adams_own_scale():
    ours, theirs = adam(0.1), {name: value.clone().requires_grad_() for name, value in start().items()}
    optimizer = torch.optim.Adam(list(theirs.values()), lr=0.1)
    toward = {name: torch.ones_like(value) for name, value in start().items()}
    for step, (params, slots) in enumerate(run(ours, 5), 1):
        for name, g in slope({k: v.detach() for k, v in theirs.items()}, step).items():
            theirs[name].grad = g
        optimizer.step()
        scaled = ours.precondition(toward, slots, step + 1)
        for name, p in theirs.items():
            state = optimizer.state[p]
            v = state["exp_avg_sq"] / (1 - 0.999 ** float(state["step"]))
            torch.testing.assert_close(scaled[name], 1 / (v.sqrt() + 1e-8), rtol=1e-4, atol=1e-5)
        assert set(params) == set(scaled)
    assert (
        ours.precondition(toward, ours.init(start()), 1) is toward
    )  # nothing is known before the first step
    assert sgd(0.1, 0.9).precondition(toward, {}, 7) is toward


@pytest.mark.parametrize("model", ["logistic", "mlp:9"])
@pytest.mark.filterwarnings("ignore:idle-threat")
def test_awareness_changes_the_attack_on_adam_alone(model, multi):
    threats = [Threat(0.5, 0.3), Threat(0.5, 0.3, aware=True)]
    differ = {}
    for optimizer in ("adam", "sgd"):
        recipe = Recipe(epochs=4, batch_size=16, learning_rate=0.03, optimizer=optimizer)
        plain, aware = train(multi, model=model, threats=threats, seeds=[0], recipe=recipe).runs[1:]
        assert aware.threat.aware and not plain.threat.aware
        differ[optimizer] = not np.allclose(plain.curves, aware.curves, rtol=1e-3, equal_nan=True)
    assert differ == {"adam": True, "sgd": False}


def test_recipes_build_their_optimizer():
    def slots(**fields):
        return set(optimizers.build(Recipe(**fields), AXIS, 1).init(start()))

    assert slots() == set()
    assert slots(momentum=0.5, clip_norm=1.0) == {"velocity"}
    assert slots(optimizer="adam") == slots(optimizer="adamw", weight_decay=0.1) == {"mean", "square"}
