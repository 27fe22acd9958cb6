"""Radii against direct counts: every way in which the models of every set of parts may change their answers."""

import itertools

import pytest
import torch

from turncoat import TurncoatError
from turncoat.voting import circulant, counts, deal, finite_aggregation, plurality, run_off

PERMUTED = {c: list(itertools.permutations(range(c))) for c in (2, 3)}


def draw(seed):
    return torch.Generator().manual_seed(seed)


def most(first, classes):
    return max(range(classes), key=lambda c: (first.count(c), -c))


def second_round(orders, classes):
    """The winner of a run-off in plain words; an order lists a model's classes, the dearest first."""
    votes = [sum(order[0] == c for order in orders) for c in range(classes)]
    a, b = sorted(range(classes), key=lambda c: (-votes[c], c))[:2]
    for_a = sum(order.index(a) < order.index(b) for order in orders)
    return min(a, b) if 2 * for_a == len(orders) else a if 2 * for_a > len(orders) else b


def survived(ballots, touched, answers, elect):
    """The most parts that may be flipped, by trying everything that their models may answer."""
    wins = elect(ballots)
    for flips in range(1, len(touched) + 1):
        for parts in itertools.combinations(touched, flips):
            models = sorted({m for part in parts for m in part})
            for changed in itertools.product(answers, repeat=len(models)):
                other = list(ballots)
                for model, answer in zip(models, changed, strict=True):
                    other[model] = answer
                if elect(other) != wins:
                    return flips - 1
    return len(touched)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("models", [1, 2, 5, 6])
def test_plurality_is_exact(classes, models):
    first = torch.randint(classes, (30, models), generator=draw(models))
    found = plurality(first, classes)
    own = [(m,) for m in range(models)]
    for row, wins, radius in zip(first.tolist(), *map(torch.Tensor.tolist, found), strict=True):
        assert wins == most(row, classes)
        assert radius == survived(row, own, range(classes), lambda b: most(b, classes)), row


def test_equal_votes_go_to_the_lower_label_and_count():
    found = plurality(torch.tensor([[0, 0, 1, 1], [2, 2, 1, 1], [1, 1, 1, 0], [0, 0, 0, 1]]), 3)
    assert found.prediction.tolist() == [0, 1, 1, 0]
    # 0 of (2, 2): a single model ends it; 1 of (1, 3): one more makes it a tie, which 0 wins
    assert found.radius.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(("models", "spread"), [(4, 1), (5, 2), (6, 2), (6, 3)])
@pytest.mark.parametrize("classes", [2, 3])
def test_finite_aggregation_holds(models, spread, classes):
    readers = circulant(models, spread, seed=1)
    first = torch.randint(classes, (12, models), generator=draw(5)).where(
        torch.rand(12, models, generator=draw(6)) < 0.4, torch.zeros((), dtype=torch.int64)
    )
    found = finite_aggregation(first, readers, classes)
    for row, wins, radius in zip(first.tolist(), *map(torch.Tensor.tolist, found), strict=True):
        assert wins == most(row, classes)
        truth = survived(row, readers.tolist(), range(classes), lambda b: most(b, classes))
        assert radius <= truth, row
        assert radius == counted(row, readers.tolist(), wins, classes)


def counted(row, readers, wins, classes):
    """The theorem, one number after the other."""
    best = len(readers)
    for rival in set(range(classes)) - {wins}:
        ahead = row.count(wins) - row.count(rival) + (wins < rival)
        damages = sorted(sum(1 + (row[m] == wins) - (row[m] == rival) for m in ms) for ms in readers)[::-1]
        best = min(best, sum(sum(damages[: r + 1]) < ahead for r in range(len(damages))))
    return best


@pytest.mark.parametrize("classes", [2, 4, 10])
def test_finite_aggregation_without_spread_is_at_least_plurality(classes):
    first = torch.randint(classes, (200, 41), generator=draw(2)).where(
        torch.rand(200, 41, generator=draw(3)) < 0.5, torch.ones((), dtype=torch.int64)
    )
    spread_out, plain = finite_aggregation(first, circulant(41, 1, 0), classes), plurality(first, classes)
    assert torch.equal(spread_out.prediction, plain.prediction)
    assert torch.equal(spread_out.radius, plain.radius)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("models", [1, 2, 4, 5])
def test_run_off_holds(classes, models):
    orders = PERMUTED[classes]
    picks = torch.randint(len(orders), (25, models), generator=draw(7))
    gaps = []
    for row in picks.tolist():
        ballots = [orders[i] for i in row]
        found = run_off(*tallied([ballots], classes))
        assert int(found.prediction) == second_round(ballots, classes)
        own = [(m,) for m in range(models)]
        truth = survived(ballots, own, orders, lambda b: second_round(b, classes))
        assert 0 <= int(found.radius) <= truth
        gaps.append(truth - int(found.radius))
    assert sum(gap == 0 for gap in gaps) >= 0.9 * len(gaps)  # what is proved is nearly all that is true


def test_run_off_of_two_classes_is_plurality():
    first = torch.randint(2, (60, 9), generator=draw(4))
    found = run_off(*tallied([[(a, 1 - a) for a in row] for row in first.tolist()], 2))
    assert all(map(torch.equal, found, plurality(first, 2)))


def tallied(examples, classes):
    preferred = torch.zeros(len(examples), classes, classes, dtype=torch.int64)
    for i, ballots in enumerate(examples):
        for order in ballots:
            for a, b in itertools.combinations(order, 2):
                preferred[i, a, b] += 1
    return counts(torch.tensor([[order[0] for order in b] for b in examples]), classes), preferred


def test_rows_are_dealt_by_features_alone():
    x = torch.randn(50, 3, generator=draw(0))
    x[10], x[20] = x[3], x[3]  # the same row three times
    dealt = deal(x, 7)
    assert sorted(torch.cat(dealt).tolist()) == list(range(50))
    sizes = [len(rows) for rows in dealt]
    assert max(sizes) - min(sizes) <= 3 and sum(1 for rows in dealt if 3 in rows) == 1
    home = next(rows.tolist() for rows in dealt if 3 in rows)
    assert {3, 10, 20} <= set(home)
    order = torch.randperm(50, generator=draw(1))
    again = [{tuple(x[order][i].tolist()) for i in rows} for rows in deal(x[order], 7)]
    assert again == [{tuple(x[i].tolist()) for i in rows} for rows in dealt]
    assert [r.tolist() for r in deal(torch.where(x == 0, -0.0, x), 7)] == [r.tolist() for r in dealt]


def test_more_parts_than_different_rows():
    with pytest.raises(TurncoatError, match=r"only 2 different rows among 6: .* 2 partitions or fewer"):
        deal(torch.tensor([[0.0], [1.0]]).repeat(3, 1), 3)


def test_every_model_reads_as_many_parts_as_a_part_has_readers():
    readers = circulant(12, 4, seed=3)
    assert torch.bincount(readers.flatten(), minlength=12).tolist() == [4] * 12
    assert all(len(set(row)) == 4 for row in readers.tolist())
    with pytest.raises(TurncoatError, match="spread is 5, but there are only 4 parts"):
        circulant(4, 5, seed=0)
