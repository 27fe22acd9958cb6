"""Steps taken as blocks against the same steps taken one by one."""

import dataclasses

import numpy as np
import pytest
import torch

from turncoat import Federation, Recipe, Threat, models
from turncoat.federation.federation import POOLED
from turncoat.federation.tiles import tile_size
from turncoat.models import products
from turncoat.training import blocks
from turncoat.training.stack import material, stack_run
from turncoat.training.task import start

PLAIN = Recipe(epochs=3, batch_size=7, learning_rate=0.3)
LOW = dataclasses.replace(PLAIN, precision="bfloat16")


def threats(**fields):
    return (
        Threat(),
        Threat(0.8, 0.5, **fields),
        Threat(0.5, 0.5, goal="targeted", **fields),
        Threat(0.3, 0.9, **fields),
    )


def task_of(data, recipe, chosen=None):
    made = material(models.build("logistic", data), data, "cpu")
    return stack_run(made, recipe, 1, chosen or threats()).task


def trained(data, recipe, chosen, model="logistic"):
    run = stack_run(material(models.build(model, data), data, "cpu"), recipe, 1, chosen)
    return run, list(run.advance())


@pytest.fixture
def everywhere(monkeypatch):
    """Products in bfloat16 are right on every processor; and small blocks, of stacks however small."""
    monkeypatch.setattr(blocks, "ROWS", 21)
    monkeypatch.setattr(blocks, "FEW", 0)
    monkeypatch.setattr(blocks, "FEW_FOR_TILES", 0)
    monkeypatch.setattr(products, "has_bfloat16", lambda device: True)


@pytest.mark.parametrize("kind", ["binary", "multi"])
@pytest.mark.parametrize("model", ["logistic", "mlp:5"])
@pytest.mark.parametrize(
    ("change", "chosen"),
    [
        ({}, threats()),
        ({}, threats(knowledge="surrogate")),
        ({}, threats(schedule="once")),
        ({"lr_schedule": "cosine", "warmup": 1}, threats()),
        ({"epochs": 8, "patience": 1, "held_out": 0.2}, threats()),
    ],
    ids=["plain", "surrogate", "once", "rates", "patient"],
)
def test_blocks_train_the_same_models(kind, model, change, chosen, request, monkeypatch):
    data, recipe = request.getfixturevalue(kind), dataclasses.replace(PLAIN, **change)
    wanted, one_by_one = trained(data, recipe, chosen, model)
    monkeypatch.setattr(blocks, "steps", lambda task, state: 3)
    found, taken = trained(data, recipe, chosen, model)
    assert sum(taken) == sum(one_by_one) and max(taken) == 3 * max(one_by_one)
    np.testing.assert_allclose(found.curves(), wanted.curves(), atol=1e-4, rtol=1e-4)
    for name, value in wanted.params().items():
        torch.testing.assert_close(found.params()[name], value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("model", ["logistic", "mlp:5"])
def test_a_block_in_bfloat16_is_as_near_to_float32_as_its_steps(model, multi, everywhere, monkeypatch):
    blind = (Threat(), *(Threat(k, 0.5, selection="random") for k in (0.2, 0.4, 0.6, 0.8, 1.0)))
    together, taken = trained(multi, LOW, blind, model)
    assert max(taken) == 3 * len(blind)
    whole, _ = trained(multi, PLAIN, blind, model)
    monkeypatch.setattr(blocks, "ROWS", 1)
    one_by_one, taken = trained(multi, LOW, blind, model)
    assert max(taken) == len(blind)
    for name, value in whole.params().items():
        gap, usual = ((run.params()[name] - value).square().mean() for run in (together, one_by_one))
        assert 0 < gap < 2 * usual, name


def test_a_run_cut_within_an_epoch_of_blocks_ends_as_if_it_had_not_been(multi, everywhere):
    whole, taken = trained(multi, LOW, threats())
    first = stack_run(material(models.build("logistic", multi), multi, "cpu"), LOW, 1, threats())
    going = first.advance()
    for _ in range(2 * len(taken) // 3):
        next(going)
    assert first.main is not None and first.main.row
    again = stack_run(material(models.build("logistic", multi), multi, "cpu"), LOW, 1, threats())
    again.restore(first.to_arrays())
    for _ in again.advance():
        pass
    np.testing.assert_array_equal(again.curves(), whole.curves())


def test_only_plain_steps_in_bfloat16_make_blocks(multi, everywhere):
    def steps(recipe, chosen=None):
        task = task_of(multi, recipe, chosen)
        return blocks.steps(task, start(task))

    assert steps(LOW) == 3
    assert steps(dataclasses.replace(LOW, batch_size=20)) == 1
    assert steps(PLAIN) == 1
    assert steps(LOW, threats(schedule="step")) == 1
    assert steps(LOW, threats(schedule="epoch/2")) == 1
    for change in ({"momentum": 0.9}, {"weight_decay": 0.1}, {"clip_norm": 1.0}, {"optimizer": "adam"}):
        assert steps(dataclasses.replace(LOW, **change)) == 1


def test_steps_of_few_parameters_are_taken_one_by_one(multi, everywhere, monkeypatch):
    task = task_of(multi, LOW)
    state = start(task)
    size = 4 * (multi.x.shape[1] + 1) * multi.classes * len(threats())
    for few, steps in ((size, 3), (size + 1, 1)):
        for name in ("FEW", "FEW_FOR_TILES"):
            monkeypatch.setattr(blocks, name, few)
        assert blocks.steps(task, state) == steps


def test_only_a_linear_models_stack_in_bfloat16_is_twice_as_large(multi):
    linear, perceptron = (models.build(name, multi) for name in ("logistic", "mlp"))
    many = Federation(workers=10, hostile=1)
    assert (
        tile_size(linear, POOLED, "cpu", "bfloat16")
        == 2 * tile_size(linear, POOLED, "cpu")
        == 2 * linear.tile
    )
    assert tile_size(perceptron, POOLED, "cpu", "bfloat16") == tile_size(perceptron, POOLED, "cpu")
    assert tile_size(linear, POOLED, "cuda", "bfloat16") == tile_size(linear, POOLED, "cuda")
    assert tile_size(linear, many, "cpu") < linear.tile
