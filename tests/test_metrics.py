"""Metrics against scikit-learn, SciPy and NumPy; the unstable-step warning against plain gradient descent."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from turncoat import Recipe, from_arrays, models, train
from turncoat.metrics import (
    accuracy,
    chance,
    confusion,
    largest_eigenvalue,
    macro_f1,
    tail_mean,
)
from turncoat.training.stability import step_stability

quick = settings(max_examples=30, deadline=None)


@quick
@given(st.integers(2, 6), st.integers(1, 25), st.integers(1, 3), st.integers(0, 999))
def test_accuracy_and_macro_f1_are_scikit_learns(classes, n, replicas, seed):
    rng = np.random.default_rng(seed)
    # few examples of many classes: some never occur, some are only predicted, some only true
    true, guess = rng.integers(0, classes, n), rng.integers(0, classes, (n, replicas))
    counts = confusion(torch.tensor(guess), torch.tensor(true), classes)
    for j in range(replicas):
        wanted = confusion_matrix(true, guess[:, j], labels=range(classes))
        np.testing.assert_array_equal(counts[j].numpy(), wanted)
        assert float(accuracy(counts)[j]) == pytest.approx(accuracy_score(true, guess[:, j]))
        wanted = f1_score(true, guess[:, j], average="macro", zero_division=0)
        assert float(macro_f1(counts)[j]) == pytest.approx(wanted)


def test_chance_is_the_majority():
    assert chance(torch.tensor([0, 2, 2, 1, 2])) == pytest.approx(0.6)


@pytest.mark.parametrize(("length", "last"), [(1, 1), (9, 1), (10, 1), (30, 3), (200, 20)])
def test_the_tail_is_the_last_tenth(length, last):
    curve = np.random.default_rng(0).random(length)
    assert tail_mean(curve) == pytest.approx(curve[-last:].mean())


@quick
@given(st.integers(1, 60), st.integers(1, 40), st.integers(0, 999))
def test_power_iteration_finds_numpys_largest_eigenvalue(n, d, seed):
    x = np.random.default_rng(seed).normal(size=(n, d))
    wanted = np.linalg.eigvalsh(x.T @ x / n)[-1]
    assert largest_eigenvalue(torch.tensor(x)) == pytest.approx(wanted, rel=0.01)


def test_power_iteration_sees_what_is_orthogonal_to_ones():
    """A feature and its opposite: a start of ones is orthogonal to the only direction that counts."""
    a = torch.arange(1.0, 6.0, dtype=torch.float64).unsqueeze(1)
    x = torch.cat([a, -a], 1)
    assert largest_eigenvalue(x) == pytest.approx(22.0, rel=1e-6)
    assert largest_eigenvalue(torch.zeros(3, 2)) == pytest.approx(0)


def noise(classes, n=240, seed=4):
    """Labels that have almost nothing to do with the features: the loss is near its quadratic at zero."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) * np.array([3.0, 1.0, 0.5])
    return from_arrays(np.vstack([x, -x]), np.tile(rng.integers(0, classes, n), 2), scale="raw")


NOTHING_LEARNED = ("no-skill",)  # from such labels


def losses(data, recipe):
    return train(data, seeds=[0], recipe=recipe).runs[0].curve("test_loss")


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_gradient_descent_settles_below_the_bound_and_swings_above_it(momentum):
    """Two classes, full batches: the curvature at zero is the bound itself."""
    data = noise(2)
    model = models.build("logistic", data)
    x = model.prepare(data.x)
    sharpest = np.linalg.eigvalsh((x.T @ x / len(x)).numpy())[-1] / 4
    for factor in (0.8, 1.25):
        rate = factor * 2 * (1 + momentum) / sharpest
        recipe = Recipe(epochs=100, batch_size=len(x), learning_rate=float(rate), momentum=momentum)
        assert step_stability(model, recipe, x, data.y) == pytest.approx(factor, rel=2e-3)
        results = train(data, seeds=[0], recipe=recipe)
        curve = results.runs[0].curve("test_loss")
        swing = np.ptp(curve[-20:])
        if factor < 1:
            assert swing < 1e-4 and results.setting.warnings == NOTHING_LEARNED
        else:
            assert curve[-20:].mean() > 1.1 * losses(data, Recipe(100, len(x), 0.1))[-1]
            assert results.setting.warnings == ("unstable-step", *NOTHING_LEARNED)
            assert (results.summary()["warnings"] == "unstable-step no-skill").all()


@pytest.mark.usefixtures("as_users_run")
def test_softmax_regression_settles_below_its_bound():
    data = noise(4)
    model = models.build("logistic", data)
    x = model.prepare(data.x)
    sharpest = np.linalg.eigvalsh((x.T @ x / len(x)).numpy())[-1] / 2
    recipe = Recipe(epochs=120, batch_size=len(x), learning_rate=float(0.95 * 2 / sharpest))
    assert step_stability(model, recipe, x, data.y) == pytest.approx(0.95, rel=2e-3)
    assert np.ptp(losses(data, recipe)[-20:]) < 1e-4


def test_weight_decay_adds_to_the_curvature_and_adam_has_no_criterion(binary):
    model = models.build("logistic", binary)
    x = model.prepare(binary.x)
    plain, decayed = (
        step_stability(model, Recipe(learning_rate=0.5, weight_decay=decay), x, binary.y)
        for decay in (0.0, 0.4)
    )
    assert decayed - plain == pytest.approx(0.5 * 0.4 / 2)
    assert np.isnan(step_stability(model, Recipe(optimizer="adam"), x, binary.y))
