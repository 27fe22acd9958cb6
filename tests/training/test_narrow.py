"""Features that are 0 in every example are left out of the products: the same runs, and whole parameters."""

import dataclasses
from collections import deque

import numpy as np
import pytest
import torch

from turncoat import Federation, Recipe, Threat, models, train
from turncoat.models import columns
from turncoat.threat import CLEAN
from turncoat.training.stack import material, stack_run

SGD = Recipe(epochs=3, batch_size=16, learning_rate=0.3)
RECIPES = {
    "sgd": SGD,
    "momentum and decay": dataclasses.replace(SGD, momentum=0.9, weight_decay=0.01),
    "adam": Recipe(epochs=3, batch_size=23, learning_rate=0.02, optimizer="adam"),
    "patience": dataclasses.replace(SGD, epochs=8, patience=1, held_out=0.2),
    "low": dataclasses.replace(SGD, precision="bfloat16"),
}
THREATS = (
    CLEAN,
    Threat(0.9, 0.4),
    Threat(0.5, 0.5, goal="targeted"),
    Threat(0.5, 0.5, selection="random"),
    Threat(0.5, 0.5, knowledge="local"),
)


@pytest.fixture(scope="module")
def sparse(multi):
    """Data of which a third of the columns is never used: first, last and between."""
    places = [1, 2, 4, 5, 6]

    def wide(x):
        return torch.zeros(len(x), 8).index_copy(1, torch.tensor(places), x)

    return dataclasses.replace(multi, x=wide(multi.x), x_test=wide(multi.x_test), shape=(8,))


def made(data, recipe, model="logistic", threats=THREATS, **others):
    return stack_run(material(models.build(model, data), data, "cpu"), recipe, 3, threats, **others)


def finished(run):
    deque(run.advance(), maxlen=0)
    return run


@pytest.mark.parametrize("model", ["logistic", "mlp:8"])
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_curves_and_parameters_are_those_of_all_columns(sparse, monkeypatch, model, recipe):
    monkeypatch.setattr("turncoat.models.products.has_bfloat16", lambda device: True)
    few = finished(made(sparse, recipe, model))
    assert few.task.x.shape[1] == 6
    monkeypatch.setattr(columns, "LEAST", 1.0)
    full = finished(made(sparse, recipe, model))
    assert full.task.x.shape[1] == 9
    np.testing.assert_allclose(few.curves(), full.curves(), rtol=1e-4, atol=1e-5)
    for name, value in full.main.params.items():
        got = few.params()[name]
        assert got.shape == value.shape
        if recipe.weight_decay and model != "logistic":  # weights that nothing reads are as they started
            axis = full.task.model.feature_axis.get(name)
            got, value = (
                v if axis is None else v.index_select(axis, few.task.columns.used) for v in (got, value)
            )
        torch.testing.assert_close(got, value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("schedule", ["step", "once"])
@pytest.mark.parametrize("knowledge", ["omniscient", "surrogate"])
def test_every_schedule_and_knowledge(sparse, monkeypatch, schedule, knowledge):
    threats = (
        CLEAN,
        Threat(0.5, 0.5, schedule=schedule, knowledge=knowledge if schedule == "step" else "omniscient"),
    )
    few = finished(made(sparse, SGD, threats=threats))
    monkeypatch.setattr(columns, "LEAST", 1.0)
    full = finished(made(sparse, SGD, threats=threats))
    np.testing.assert_allclose(few.curves(), full.curves(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("recipe", [RECIPES["momentum and decay"], RECIPES["adam"]], ids=["momentum", "adam"])
def test_what_is_written_down_is_whole_and_goes_on_to_the_same_bits(sparse, recipe):
    threats = (CLEAN, Threat(0.5, 0.5, knowledge="surrogate"))
    uncut = finished(made(sparse, recipe, "mlp:8", threats))
    run = made(sparse, recipe, "mlp:8", threats)
    steps = run.advance()
    for _ in range(7):
        next(steps)
    arrays = run.to_arrays()
    assert arrays["main:params/hidden"].shape == (2, 8, 9) == arrays["main:eyes/hidden"].shape
    again = made(sparse, recipe, "mlp:8", threats)
    again.restore(arrays)
    assert np.array_equal(finished(again).curves(), uncut.curves(), equal_nan=True)


def test_a_run_on_all_columns_is_gone_on_with(sparse, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(columns, "LEAST", 1.0)
        former = made(sparse, SGD)
        steps = former.advance()
        for _ in range(7):
            next(steps)
        arrays = former.to_arrays()
        finished(former)
    run = made(sparse, SGD)
    run.restore(arrays)
    np.testing.assert_allclose(finished(run).curves(), former.curves(), rtol=1e-4, atol=1e-5)


def test_where_features_are_looked_at_as_they_lie_all_stay(sparse, multi):
    assert made(multi, SGD).task.columns is None, "all are used"
    crowd = Federation(workers=3, hostile=1)
    placed = (CLEAN, Threat(1 / 3, 0.5, placement="fixed"))
    assert made(sparse, SGD, threats=placed, federation=crowd).task.x.shape[1] == 9
    assert made(sparse, dataclasses.replace(SGD, defence="knn:3")).task.x.shape[1] == 9
    assert made(sparse, SGD, threats=(Threat(0.5, 0.5, selection="planned"),)).task.x.shape[1] == 9


def test_a_column_that_only_tests_use_stays(sparse):
    lone = sparse.x_test.clone()
    lone[0, 0] = 1.0
    data = dataclasses.replace(sparse, x_test=lone)
    assert made(data, SGD).task.x.shape[1] == 7
    assert train(data, threats=[], seeds=[0], recipe=SGD).runs


def test_few_such_columns_are_not_worth_a_copy(digits):
    unused = int((digits.x == 0).all(0).logical_and((digits.x_test == 0).all(0)).sum())
    assert unused and made(digits, SGD).task.columns is None
