"""On real data the optimal flips harm, and much more than random flips of the same budget."""

import pytest
from jaxtyping import config

from turncoat import Recipe, Threat, train

RECIPE = Recipe(epochs=10, learning_rate=0.1)


BUDGETS = ((0.3, 1.0), (1.0, 0.25))


@pytest.fixture(scope="module")
def results(digits):
    config.update("jaxtyping_disable", True)  # checked shapes would triple the time
    threats = [Threat(k, b, selection=rule) for k, b in BUDGETS for rule in ("optimal", "random")]
    threats += [Threat(0.05), Threat(0.15)]
    yield train(digits, threats=threats, seeds=range(3), recipe=RECIPE)
    config.update("jaxtyping_disable", False)


def test_optimal_flips_harm_digits_far_more_than_random_ones(results):
    assert results.setting.warnings == ()
    table = results.summary().set_index(["write_access", "local_budget", "selection"])
    clean = table.loc[0.0, 1.0, "optimal"]
    assert clean["harm.mean"] == 0 and clean["accuracy.mean"] > 0.9
    for budget in BUDGETS:
        worst, chance = table.loc[*budget, "optimal"], table.loc[*budget, "random"]
        assert worst["harm.low"] > 0.15
        assert chance["harm.mean"] < 0.05
        assert worst["harm.mean"] > 5 * chance["harm.mean"]


def test_more_budget_and_more_access_harm_digits_more(results):
    table = results.summary().query("selection == 'optimal'")
    harm = table.set_index(["write_access", "local_budget"])["harm.mean"]
    assert harm[0.05, 1.0] < harm[0.15, 1.0] < harm[0.3, 1.0]
