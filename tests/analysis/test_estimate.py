"""Estimates against SciPy and against draws that hold nothing; pairs by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from turncoat import TurncoatError
from turncoat.analysis.breakdown import breakdown_budget
from turncoat.analysis.estimate import Estimate, estimate, jackknifed, spread, statistics, student
from turncoat.analysis.pairs import difference, differences, over_seeds, sure
from turncoat.analysis.reached import STATISTICS, reached
from turncoat.analysis.skill import lacks_skill


@pytest.mark.parametrize("seeds", [2, 3, 6, 30])
def test_the_interval_is_scipys(seeds):
    values = np.random.default_rng(seeds).gamma(2.0, size=seeds)
    wanted = stats.t.interval(0.95, seeds - 1, values.mean(), stats.sem(values))
    found = estimate(values)
    assert (found.low, found.high) == pytest.approx(wanted)
    assert (found.mean, found.n) == (pytest.approx(values.mean()), seeds)
    tested = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((tested.low, tested.high))


@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_null_data_are_covered_as_often_as_it_says(seeds):
    """Twins that differ by chance alone: 2.5 % on either side are sure of the wrong thing."""
    rng = np.random.default_rng(0)
    clean, twin = rng.normal(0.9, 0.02, (2, 4000, seeds))
    found = [difference(pd.Series(a), pd.Series(b)) for a, b in zip(clean, twin, strict=True)]
    for wrong in (sum(one.above for one in found), sum(one.below for one in found)):
        assert 0.018 < wrong / len(found) < 0.032
    assert sum(one.sure for one in found) == sum(one.above or one.below for one in found)


def test_one_seed_has_no_interval_and_is_sure_of_nothing():
    one = estimate([0.4])
    assert (one.mean, one.n) == (0.4, 1) and math.isnan(one.low) and math.isnan(one.high)
    assert not (one.has_interval or one.above or one.below or one.sure or one.beyond(0.1))
    table = pd.DataFrame({"k": [1, 1, 2], "seed": [0, 1, 0], "value": [0.3, 0.31, 0.3]})
    assert sure(over_seeds(table, ["k"])).tolist() == [True, False]


def test_none_and_unknown_numbers_have_no_mean():
    for values in ([], [0.5, math.nan]):
        found = estimate(values)
        assert math.isnan(found.mean) and not found.has_interval


def test_statistics_of_seeds():
    values = np.array([0.9, 0.7, 0.8, 0.1])
    got = statistics(values)
    assert got["mean"] == pytest.approx(0.625) and got["median"] == pytest.approx(0.75)
    assert got["std"] == pytest.approx(np.std(values, ddof=1))
    assert (got["low"], got["high"]) == (estimate(values).low, estimate(values).high)
    one = statistics([0.4])
    assert (one["mean"], one["std"], one["median"]) == (0.4, 0.0, 0.4)
    assert math.isnan(one["low"]) and math.isnan(one["high"])


def test_intervals_of_columns_are_those_of_each_alone():
    values = np.random.default_rng(0).normal(size=(5, 4))
    low, high = student(values.mean(0), spread(values), np.full(4, 5))
    for column in range(4):
        found = estimate(values[:, column])
        assert (low[column], high[column]) == pytest.approx((found.low, found.high))
    assert np.isnan(student(values[0], np.zeros(4), np.ones(4, int))).all()


def test_the_jackknife_covers_a_spread_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(size=(1000, 8, 3))
    found = [jackknifed(pd.DataFrame(one), lambda v: float(v.std(axis=0, ddof=1).mean())) for one in draws]
    covered = sum(one.low < 0.9650 < one.high for one in found)  # the mean of such a std
    assert 0.90 < covered / len(found) < 0.98
    assert not jackknifed(pd.DataFrame(draws[0, :2]), np.std).has_interval


def test_the_jackknife_of_a_mean_is_students_interval():
    values = np.random.default_rng(1).normal(size=7)
    found, wanted = jackknifed(pd.DataFrame(values), np.mean), estimate(values)
    assert (found.mean, found.low, found.high) == pytest.approx((wanted.mean, wanted.low, wanted.high))


def test_pairs_go_by_seed_not_by_place():
    first = pd.DataFrame({"k": [1, 1, 1], "seed": [0, 1, 2], "value": [0.9, 0.5, 0.1]})
    second = pd.DataFrame({"k": [1, 1, 2], "seed": [1, 0, 2], "value": [0.4, 0.6, 0.0]})
    found = differences(first, second, ["k"])
    assert dict(zip(found["seed"], found["value"], strict=True)) == pytest.approx({0: 0.3, 1: 0.1})
    by_seed = difference(*(frame[frame["k"] == 1].set_index("seed")["value"] for frame in (first, second)))
    assert by_seed.n == 2 and by_seed.mean == pytest.approx(0.2)
    assert differences(first, second[["seed", "value"]], [])["value"].tolist() == pytest.approx(
        [0.3, 0.1, 0.1]
    )


def test_the_figure_of_a_run():
    curve = np.linspace(0, 1, 30)
    assert reached(curve) == pytest.approx(curve[-3:].mean()) and reached(curve, "last") == 1
    assert set(STATISTICS) == {"tail", "last"}
    with pytest.raises(TurncoatError, match="did you mean 'last'"):
        reached(curve, "lst")


def test_breakdown_takes_chance_within_the_interval_and_a_sure_harm():
    wide, sharp = Estimate(0.7, 0.3, 1.1, 2), Estimate(0.52, 0.48, 0.56, 6)
    assert breakdown_budget([0.1, 0.2], [wide.low, sharp.low], [-0.2, 0.3], 0.5) == 0.2
    assert breakdown_budget([0.3, 0.1, 0.2, 0.0], [0.5, 0.9, 0.45, 0.2], [0.1] * 4, 0.5) == 0.2
    assert breakdown_budget([0.1], [0.8], [0.1], 0.5) == math.inf
    assert breakdown_budget([0.4], [math.nan], [math.nan], 0.5) == math.inf
    assert breakdown_budget([], [], [], 0.5) == math.inf


def test_a_model_at_chance_has_no_skill():
    assert lacks_skill([0.5, 0.5], 0.5) and lacks_skill([0.4, 0.5], 0.5)
    assert lacks_skill([0.1 + 1e-8], 0.1)  # what is left of float32
    assert not lacks_skill([0.5, 0.6], 0.5) and not lacks_skill([], 0.5)
