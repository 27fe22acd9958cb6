"""Attacks beside a certificate: within their budget, never below the bound, and of some effect."""

import pytest
import torch

import turncoat
from turncoat import certify
from turncoat.certificates.attack import flipped
from turncoat.certificates.certify import hold
from turncoat.certificates.ensemble import ballots
from turncoat.certificates.seen_from_above import budgets, undefended, voters_attacked
from turncoat.voting import counts

FLIPS = (0, 12, 40, 120)


@pytest.fixture(scope="module")
def digits():
    return turncoat.load("digits")


@pytest.mark.parametrize("method", ["partitions", "run_off"])
def test_the_attack_on_the_voters_stays_above_the_certificate(digits, method):
    found = certify(digits, method=method, partitions=24)
    of = hold(digits, "logistic", method, 24, "anchors", None, None, 0)
    reached = voters_attacked(of, digits, FLIPS)
    assert reached[0] == found.clean_accuracy
    for flips, accuracy in reached.items():
        assert accuracy >= found.accuracy_under(flips)
    assert reached[120] < reached[0] - 0.05


def test_flips_stay_within_their_budget_and_fill_parts(digits):
    of = hold(digits, "logistic", "partitions", 24, "anchors", None, None, 0)
    votes = counts(ballots(of.ensemble, digits.y, of.x_test, False).first, 10)
    for flips in FLIPS:
        labels = flipped(of, digits.y, votes, digits.y_test, flips)
        changed = labels != digits.y
        assert (changed.sum() > 0) == (flips > 0) and int(changed.sum()) <= flips
        for rows in of.groups:  # a class of a part is flipped whole or not at all
            for own in digits.y[rows][changed[rows]].unique():
                assert not bool((labels[rows][digits.y[rows] == own] == own).any())


def test_what_is_undefended_falls_with_flips(digits):
    reached = undefended(digits, "logistic", [0, 100, 500])
    assert reached[0] > 0.9 and reached[500] < reached[100] < reached[0]
    random = undefended(digits, "logistic", [0, 500], selections=["random"])
    assert random[0] == reached[0] and random[500] > reached[500] + 0.1


def test_budgets_begin_at_none_and_end_at_all_rows():
    assert budgets(23, 1437)[0] == 0 and budgets(23, 1437)[-1] == 96
    assert budgets(50, 60)[-1] == 60 and budgets(0, 60) == sorted(set(budgets(0, 60)))


def test_labels_are_left_as_they_were(digits):
    of = hold(digits, "logistic", "partitions", 24, "given", None, None, 0)
    before = digits.y.clone()
    flipped(of, digits.y, torch.zeros(len(digits.y_test), 10, dtype=torch.int64), digits.y_test, 30)
    assert torch.equal(before, digits.y)
