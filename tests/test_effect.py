"""On real data the optimal flips harm, and much more than random flips of the same budget."""

import pytest

from turncoat import Recipe, Threat, train

RECIPE = Recipe(epochs=15, learning_rate=0.1)


@pytest.mark.usefixtures("as_users_run")
def test_optimal_flips_harm_digits_far_more_than_random_ones(digits):
    budgets = ((0.3, 1.0), (1.0, 0.25))
    threats = [Threat(k, b, selection=rule) for k, b in budgets for rule in ("optimal", "random")]
    results = train(digits, threats=threats, seeds=range(3), recipe=RECIPE)
    assert results.setting.warnings == ()
    harm = {
        (row.write_access, row.selection): (row["harm.mean"], row["harm.low"], row["accuracy.mean"])
        for _, row in results.summary().iterrows()
    }
    clean = harm[0.0, "optimal"]
    assert clean[0] == 0 and clean[2] > 0.9
    for k, _ in budgets:
        worst, chance = harm[k, "optimal"], harm[k, "random"]
        assert worst[1] > 0.15, harm
        assert chance[0] < 0.05, harm
        assert worst[0] > 5 * chance[0], harm


@pytest.mark.usefixtures("as_users_run")
def test_more_budget_and_more_access_harm_digits_more(digits):
    threats = [Threat(0.05), Threat(0.15), Threat(0.3), Threat(0.3, 0.5)]
    results = train(digits, threats=threats, seeds=range(3), recipe=RECIPE)
    harm = results.summary().set_index(["write_access", "local_budget"])["harm.mean"]
    assert harm[0.05, 1.0] < harm[0.15, 1.0] < harm[0.3, 1.0]
    assert harm[0.3, 0.5] < harm[0.3, 1.0] + 0.02
