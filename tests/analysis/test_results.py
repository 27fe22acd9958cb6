"""Tables and statistics against the curves they are made of."""

import numpy as np
import pandas as pd
import pytest

from turncoat import Recipe, Threat, TurncoatError, from_arrays, train
from turncoat.analysis.estimate import estimate, statistics
from turncoat.analysis.results import Results, Run
from turncoat.fields import descriptions
from turncoat.threat import CLEAN
from turncoat.training.task import CURVES

RECIPE = Recipe(epochs=4, batch_size=24, learning_rate=0.3)
THREATS = [Threat(0.8, 0.5), Threat(0.8, 0.5, selection="random"), Threat(0.3, goal="targeted")]


@pytest.fixture(scope="module")
def results(multi):
    return train(multi, threats=THREATS, seeds=(5, 2), recipe=RECIPE)


def test_runs_come_in_the_order_asked_for_with_the_clean_one_first(results, multi):
    assert [(r.threat, r.seed) for r in results.runs] == [
        (threat, seed) for threat in (CLEAN, *THREATS) for seed in (5, 2)
    ]
    doubled = train(multi, threats=[THREATS[0], Threat(), THREATS[0]], seeds=[5], recipe=RECIPE)
    assert [r.threat for r in doubled.runs] == [CLEAN, THREATS[0]]
    assert (doubled.setting.dataset, doubled.setting.model) == ("blobs-4", "logistic")


def test_table_has_one_row_per_threat_seed_and_epoch(results):
    table = results.to_pandas()
    assert len(table) == 4 * 2 * RECIPE.epochs
    assert list(table.columns) == [*descriptions(Threat), "seed", "epoch", *CURVES]
    for run in results.runs:
        rows = table[table["seed"] == run.seed]
        for name in descriptions(Threat):
            rows = rows[rows[name] == getattr(run.threat, name)]
        assert rows["epoch"].tolist() == [1, 2, 3, 4]
        np.testing.assert_array_equal(rows[list(CURVES)].to_numpy(), run.curves)


def made_up(curves):
    """Results of two seeds with these accuracies, clean and attacked."""
    attacked = Threat(0.5, 0.5)
    runs = []
    for threat, seed, accuracy in curves:
        values = np.full((len(accuracy), len(CURVES)), 0.25)
        values[:, 0] = accuracy
        runs.append(Run(attacked if threat else CLEAN, seed, values))
    return runs


def test_summary_is_recomputed_by_hand(results):
    curves = [
        (0, 0, np.linspace(0.5, 0.9, 20)),
        (0, 1, np.linspace(0.4, 0.8, 20)),
        (1, 0, np.linspace(0.5, 0.6, 20)),
        (1, 1, np.linspace(0.3, 0.2, 12)),  # stopped early: the tail is of its own length
    ]
    summary = Results(results.setting, tuple(made_up(curves))).summary()
    clean, attacked = (row for _, row in summary.iterrows())
    tail = np.array([np.mean(curves[2][2][-2:]), curves[3][2][-1]])
    honest = np.array([np.mean(curves[0][2][-2:]), np.mean(curves[1][2][-2:])])
    for name, value in statistics(tail).items():
        assert attacked[f"accuracy.{name}"] == pytest.approx(value)
    for name, value in statistics(honest - tail).items():
        assert attacked[f"harm.{name}"] == pytest.approx(value)
    assert attacked["accuracy_last.mean"] == pytest.approx((0.6 + 0.2) / 2)
    assert attacked["harm_last.mean"] == pytest.approx((0.9 + 0.8 - 0.6 - 0.2) / 2)
    assert attacked["macro_f1.mean"] == pytest.approx(0.25) and attacked["flips"] == pytest.approx(0.25)
    assert (attacked["global_budget"], attacked["seeds"], clean["harm.mean"]) == (0.25, 2, 0)


def test_harm_pairs_seeds_not_places(results):
    curves = [(0, 0, [0.9]), (0, 1, [0.5]), (1, 1, [0.4]), (1, 0, [0.6])]
    summary = Results(results.setting, tuple(made_up(curves))).summary()
    row = summary.iloc[1]
    assert row["harm.median"] == pytest.approx((0.3 + 0.1) / 2)
    assert row["harm.std"] == pytest.approx(np.std([0.3, 0.1], ddof=1))


def test_summary_of_real_runs_is_complete(results):
    summary = results.summary()
    assert len(summary) == 4 and not summary.drop(columns="warnings").isna().any().any()
    assert isinstance(summary, pd.DataFrame)
    assert summary["selection"].tolist() == ["optimal", "optimal", "random", "optimal"]


def test_breakdown_budget_of_chosen_threats(results):
    chance = results.setting.chance
    runs = []
    for threat, accuracy in (
        (CLEAN, 0.9),
        (Threat(0.2), 0.8),
        (Threat(0.4), chance),
        (Threat(0.6), chance - 0.1),
        (Threat(0.3, selection="random"), 0.7),
    ):
        values = np.full((3, len(CURVES)), accuracy)
        runs += [Run(threat, seed, values) for seed in (0, 1)]
    made = Results(results.setting, tuple(runs))
    assert made.breakdown_budget() == 0.4
    assert made.breakdown_budget(selection="optimal") == 0.4
    assert made.breakdown_budget(selection="random") == float("inf")
    with pytest.raises(TurncoatError, match="did you mean 'selection'"):
        made.breakdown_budget(selektion="random")


def test_one_seed_breaks_nothing_down(multi):
    alone = train(multi, threats=THREATS, seeds=[0], recipe=RECIPE)
    assert np.isnan(alone.summary()["accuracy.low"]).all()
    with pytest.raises(TurncoatError, match="one seed has no interval and decides nothing: train two"):
        alone.breakdown_budget()


def test_harm_against_any_run_of_the_same_seed(results):
    optimal, random = THREATS[:2]
    summary = results.summary()
    harm = results.harm(optimal)
    assert (harm.mean, harm.low, harm.n) == (summary["harm.mean"][1], summary["harm.low"][1], 2)
    curves = {(run.threat, run.seed): run.curve("accuracy")[-1] for run in results.runs}
    wanted = estimate(curves[random, seed] - curves[optimal, seed] for seed in (5, 2))
    assert results.harm(optimal, random, "last") == wanted
    with pytest.raises(TurncoatError, match="no run has the threat"):
        results.harm(Threat(0.123))


def test_a_clean_model_at_chance_is_told(multi):
    nothing_to_learn = from_arrays(np.zeros((60, 3)), np.repeat([0, 1, 2], [30, 20, 10]), scale="raw")
    blind = train(nothing_to_learn, threats=THREATS[:1], seeds=[0, 1], recipe=RECIPE)
    assert blind.setting.warnings == ("no-skill",)
    assert (blind.summary()["warnings"] == "no-skill").all()
    assert train(multi, seeds=[0], recipe=RECIPE).setting.warnings == ()


def test_a_rule_of_ones_own_is_named_in_tables(multi):
    def lazy(scores, labels, flips, generator):
        return labels

    results = train(multi, threats=[Threat(0.5, selection=lazy)], seeds=[0], recipe=RECIPE)
    assert set(results.to_pandas()["selection"]) == {"optimal", "lazy"}
    assert results.summary()["flips"].tolist() == [0, 0]


def test_progress_counts_to_the_end(multi):
    seen = []
    train(
        multi,
        threats=[*THREATS, Threat(0.5, schedule="once")],
        seeds=[0, 1],
        recipe=RECIPE,
        progress=lambda done, total: seen.append((done, total)),
    )
    done, totals = zip(*seen, strict=True)
    assert set(totals) == {done[-1]} and list(done) == sorted(done)
