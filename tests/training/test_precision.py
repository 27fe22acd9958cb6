"""Steps whose products are taken in bfloat16: against float32, against rounding by hand, and where they are refused."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.func import functional_call, jvp

from turncoat import Federation, Recipe, Threat, TurncoatError, load, models, train
from turncoat.certificates.certify import certify
from turncoat.losses import residual
from turncoat.models import products
from turncoat.models.stack import zeros
from turncoat.models.vit import SIZES, VisionTransformer
from turncoat.sweep.cells import Cell, Problem, config, from_config, key
from turncoat.threat import CLEAN
from turncoat.training.stack import material, stack_run

LOW = Recipe(epochs=8, batch_size=32, learning_rate=0.05, precision="bfloat16")


@pytest.fixture(autouse=True)
def everywhere(monkeypatch):
    """Products in bfloat16 are right on every processor, if slow on most: refusals are tried by themselves."""
    monkeypatch.setattr(products, "has_bfloat16", lambda device: True)


def trained(data, model, recipe, *threats):
    run = stack_run(material(models.build(model, data), data, "cpu"), recipe, 0, threats)
    for _ in run.advance():
        pass
    return run.main


@pytest.mark.parametrize("model", ["logistic", "mlp:32"])
def test_curves_are_those_of_float32_but_for_rounding(model):
    digits = load("digits")
    threats = [Threat(1.0, 0.2), Threat(0.4, 1.0, goal="targeted"), Threat(0.5, 0.5, schedule="step")]
    threats += [Threat(0.5, 0.5, knowledge="surrogate"), Threat(0.5, 0.5, selection="random")]
    both = [
        train(digits, model, threats, seeds=[0], recipe=dataclasses.replace(LOW, precision=p))
        for p in ("float32", "bfloat16")
    ]
    for whole, low in zip(both[0].runs, both[1].runs, strict=True):
        assert not np.array_equal(whole.curves, low.curves)
        # attacked models stand near their boundaries: a few of 360 test rows change sides, more in a single epoch
        gap = np.abs(low.curve("accuracy") - whole.curve("accuracy"))
        assert gap.mean() < 0.015 and gap.max() < 0.06, whole.threat
        np.testing.assert_allclose(low.curve("test_loss"), whole.curve("test_loss"), rtol=0.02)
        np.testing.assert_allclose(low.curve("flips"), whole.curve("flips"), rtol=0.02)


@pytest.mark.parametrize(
    "change",
    [{}, {"momentum": 0.9}, {"weight_decay": 0.01}, {"optimizer": "adam", "learning_rate": 0.01}],
    ids=["sgd", "momentum", "decay", "adam"],
)
def test_parameters_and_what_is_remembered_of_steps_stay_in_float32(multi, change):
    state = trained(multi, "logistic", dataclasses.replace(LOW, **change), CLEAN, Threat(0.5, 0.5))
    kept = [*state.params.values(), *(v for slot in state.slots.values() for v in slot.values())]
    assert {value.dtype for value in kept} == {torch.float32}
    assert any((value != value.bfloat16()).any() for value in kept)


def test_a_transformer_starts_as_in_float32_but_for_rounding():
    """Curves of an attacked transformer at long steps part after some epochs, so the first is looked at."""
    digits = load("digits")
    recipe = dataclasses.replace(LOW, epochs=1, learning_rate=0.02)
    threats = [Threat(1.0, 0.2), Threat(0.5, 0.5, selection="random")]
    both = [
        train(digits, "vit-tiny", threats, seeds=[0], recipe=dataclasses.replace(recipe, precision=p))
        for p in ("float32", "bfloat16")
    ]
    for whole, low in zip(both[0].runs, both[1].runs, strict=True):
        assert not np.array_equal(whole.curves, low.curves)
        np.testing.assert_allclose(low.curve("test_loss"), whole.curve("test_loss"), rtol=0.02)
        np.testing.assert_array_equal(low.curve("flips"), whole.curve("flips"))
        for name in ("objective_before", "objective_after"):
            np.testing.assert_allclose(low.curve(name), whole.curve(name), rtol=0.05)


def test_a_transformer_in_bfloat16_is_the_module_cast_by_hand():
    digits = load("digits")
    model = models.build("vit-tiny", digits)
    draw = torch.Generator().manual_seed(0)
    params = {k: v + 0.1 * torch.randn(v.shape, generator=draw) for k, v in model.init(draw, 2).items()}
    toward = {k: torch.randn(v.shape, generator=draw) for k, v in params.items()}
    x, labels = model.prepare(digits.x[:9]).bfloat16(), torch.arange(18).view(9, 2) % 10
    logits, pull = model.forward(params, x)
    scores, total = model.scores(params, x, toward), zeros(params)
    pull(residual(logits, labels), total, 0.5)
    assert {v.dtype for v in (logits, scores, model.logits(params, x), *total.values())} == {torch.float32}
    for j in range(2):
        net = VisionTransformer(digits.shape, 10, SIZES["vit-tiny"])
        net.load_state_dict({name: value[j] for name, value in params.items()})
        low = net.bfloat16()
        out = low(x)
        assert torch.equal(out.float(), logits[:, :, j]) and torch.equal(
            out.float(), model.logits(params, x)[:, :, j]
        )
        out.backward(residual(logits, labels)[:, :, j].bfloat16())
        for name, value in low.named_parameters():
            torch.testing.assert_close(total[name][j], 0.5 * value.grad.float())
        leaves = {name: value.detach() for name, value in low.named_parameters()}
        along = {name: value[j].bfloat16() for name, value in toward.items()}
        moved = jvp(lambda p, net=low: functional_call(net, p, (x,)), (leaves,), (along,))[1]
        torch.testing.assert_close(scores[:, :, j], moved.float(), rtol=0.02, atol=0.02 * float(scores.std()))
    whole = model.scores(params, x.float(), toward)
    assert 0 < (scores - whole).abs().mean() < 0.02 * whole.std()


def test_products_round_their_factors_and_their_sum():
    draw = torch.Generator().manual_seed(0)
    a, b = torch.randn(9, 40, generator=draw).bfloat16(), torch.randn(40, 7, generator=draw)
    exact = a.double() @ b.bfloat16().double()
    once = torch.finfo(torch.bfloat16).eps  # of the largest summand, as sums may cancel
    got = products.product(a, b)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), exact, rtol=once, atol=1e-5)
    into = torch.randn(9, 7, generator=draw)
    before = into.clone()
    products.add_product(into, a, b, -0.001)
    torch.testing.assert_close(into, before - 0.001 * got, rtol=0, atol=1e-6)


def test_plain_features_make_plain_products():
    draw = torch.Generator().manual_seed(1)
    a, b = torch.randn(9, 40, generator=draw), torch.randn(40, 7, generator=draw)
    assert torch.equal(products.product(a, b), a @ b)
    into = torch.zeros(9, 7)
    products.add_product(into, a, b, 0.5)
    torch.testing.assert_close(into, 0.5 * (a @ b))


def test_features_are_cast_once_for_all_stacks_and_held_out_rows_stay_as_they_are(multi):
    data = material(models.build("logistic", multi), multi, "cpu")
    assert stack_run(data, Recipe(), 0, (CLEAN,)).task.low is None
    tasks = [stack_run(data, LOW, seed, (CLEAN,)).task for seed in (0, 1)]
    assert tasks[0].low.data_ptr() == tasks[1].low.data_ptr()
    patient = dataclasses.replace(LOW, patience=2, held_out=0.2)
    task = stack_run(data, patient, 0, (CLEAN,)).task
    assert torch.equal(task.low, task.x.bfloat16()) and task.x_held.dtype == torch.float32


def test_precision_is_part_of_a_key_only_where_it_was_asked_for():
    plain = Cell(Problem(), Recipe(), Federation(), Threat(0.5), 0)
    low = dataclasses.replace(plain, recipe=Recipe(precision="bfloat16"))
    named = dataclasses.replace(plain, recipe=Recipe(precision="float32"))
    assert key(plain) == key(named) != key(low)
    assert from_config(config(low)) == low


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"federation": Federation(workers=4, hostile=1)}, "workers send messages in float32: leave precision out"),
        ({"recipe": dataclasses.replace(LOW, defence="gce:0.7")}, "or leave defence out"),
        ({"model": "cnn:4"}, "model 'cnn:4' trains in float32: leave precision out, or set model to 'logistic' or"),
    ],
)  # fmt: skip
def test_what_has_no_products_in_bfloat16_is_refused(multi, asked, words):
    with pytest.raises(TurncoatError, match=f"precision is 'bfloat16', but .*{words}"):
        train(load("digits"), **({"threats": [Threat()], "seeds": [0], "recipe": LOW} | asked))


def test_certificates_and_other_names_are_refused(multi):
    with pytest.raises(TurncoatError, match="parts train in float32: leave precision out"):
        certify(multi, partitions=3, recipe=LOW)
    with pytest.raises(TurncoatError, match="unknown precision 'bfloat61'; did you mean 'bfloat16'"):
        Recipe(precision="bfloat61")


def test_a_processor_without_such_products_is_refused(multi, monkeypatch):
    monkeypatch.setattr(products, "has_bfloat16", lambda device: False)
    with pytest.raises(
        TurncoatError, match="this processor has no products in bfloat16, as those with AVX-512"
    ):
        train(multi, threats=[], seeds=[0], recipe=LOW)
