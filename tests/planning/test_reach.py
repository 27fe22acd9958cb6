"""Soft labels within reach, and flips within budget."""

import pytest
import torch

from turncoat.planning.reach import Reach, _priced, soft_labels
from turncoat.planning.realise import drawn_flips, fixed_flips, meant


def flipped(soft, y):
    return 1 - soft.gather(1, y.view(-1, 1, 1).expand(-1, 1, soft.shape[2])).squeeze(1)


def setting(n=40, classes=4, replicas=3, seed=0, spread=3.0):
    draw = torch.Generator().manual_seed(seed)
    worth = spread * torch.randn(n, classes, replicas, generator=draw)
    return worth, torch.randint(classes, (n,), generator=draw)


@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0, 3000.0])
def test_labels_stay_within_reach(spread):
    worth, y = setting(spread=spread)
    reach = Reach(torch.tensor([[1.0, 0.3, 0.05]]), torch.tensor([10.0, 6.0, 2.0]).double())
    soft = soft_labels(reach, worth, y)
    own = flipped(soft, y)
    torch.testing.assert_close(soft.sum(1), torch.ones(40, 3))
    assert (soft >= 0).all()
    assert (own <= reach.limit + 1e-6).all()
    assert (own.sum(0) <= reach.mass + 1e-4).all()


def halved(reach, gain):
    """Flipped mass at the price that halving an interval again and again comes to."""

    def at(price):
        return torch.minimum((gain.double() - price).sigmoid(), reach.limit.double())

    low = torch.zeros(gain.shape[1], dtype=torch.float64)
    high = (gain.double().amax(0) + 40).clamp(min=0)
    high = torch.where(at(low).sum(0) > reach.mass, high, low)
    for _ in range(200):
        middle = (low + high) / 2
        above = at(middle).sum(0) > reach.mass
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return at(high) * (reach.mass > 0)


@pytest.mark.parametrize("spread", [0.0, 0.1, 3.0, 30.0, 1000.0])
@pytest.mark.parametrize("rows", [1, 7, 300])
def test_the_price_is_that_of_halving(spread, rows):
    draw = torch.Generator().manual_seed(rows)
    replicas = 24
    gain = spread * torch.randn(rows, replicas, generator=draw) + torch.randn(replicas, generator=draw)
    shares = torch.rand(replicas, generator=draw).double()
    shares[:3] = torch.tensor([0.0, 1.0, 1e-9])
    some = (torch.rand(rows, replicas, generator=draw) < 0.5).float()
    for limit in (torch.ones(1, replicas), torch.linspace(0.01, 1, replicas).unsqueeze(0), some):
        reach = Reach(limit, shares * limit.expand_as(gain).sum(0))
        found, wanted = _priced(reach, gain), halved(reach, gain)
        near = 1e-5 + 2.0**-21 * spread  # a price of that size has so many digits after the point
        torch.testing.assert_close(found.double(), wanted, rtol=near, atol=near)
        assert (found.sum(0, dtype=torch.float64) <= reach.mass * (1 + 1e-6)).all()


def test_rows_out_of_reach_keep_their_labels():
    worth, y = setting(replicas=1)
    limit = (torch.arange(40) < 10).float().unsqueeze(1)
    own = flipped(soft_labels(Reach(limit, torch.tensor([4.0]).double()), worth, y), y)
    assert (own[10:] == 0).all() and own[:10].sum() > 3


def test_nothing_is_held_without_a_budget():
    worth, y = setting(replicas=1)
    own = flipped(soft_labels(Reach(torch.ones(1, 1), torch.zeros(1).double()), worth, y), y)
    assert (own == 0).all()


def test_no_other_labels_within_reach_are_better():
    """⟨q, worth⟩ - entropy against thousands of labels drawn within the same reach."""
    worth, y = setting(n=6, classes=3, replicas=1, spread=1.0)
    reach = Reach(torch.tensor([[0.6]]), torch.tensor([1.5]).double())

    def value(soft):
        return (soft * worth).sum() + torch.special.xlogy(soft, soft).sum()

    best = soft_labels(reach, worth, y)
    draw = torch.Generator().manual_seed(1)
    for near in (0.02, 0.2, 1.0):
        for _ in range(500):
            other = torch.rand(6, 3, 1, generator=draw).pow(3)
            other = (1 - near) * best + near * other / other.sum(1, keepdim=True)
            own = flipped(other, y)
            if (own <= reach.limit).all() and own.sum() <= reach.mass[0]:
                assert value(best) <= value(other) + 1e-5


def test_every_round_spends_its_budget_exactly_and_no_example_more_than_its_share():
    worth, y = setting(n=200, replicas=1, spread=2.0)
    k, flips, rounds = 0.4, 30.0, 400
    reach = Reach(torch.tensor([[k]]), torch.tensor([flips / 80 * k * 200]).double())
    soft = soft_labels(reach, worth, y)[..., 0]
    draw = torch.Generator().manual_seed(2)
    counts, moved = torch.zeros(200), torch.zeros(200, 4)
    for _ in range(rounds):
        members = torch.randperm(200, generator=draw)[:80]
        new = drawn_flips(soft[members], y[members], k, flips, draw)
        changed = new != y[members]
        assert int(changed.sum()) == flips
        counts[members[changed]] += 1
        moved[members[changed], new[changed]] += 1
    wanted = flipped(soft.unsqueeze(2), y)[:, 0]
    noise = 4 * (wanted * (1 - wanted) / rounds).sqrt() + 0.02
    assert ((counts / rounds - wanted).abs() <= noise).all()
    assert (counts / rounds <= k + 4 * (k * (1 - k) / rounds) ** 0.5).all()
    others = soft.clone().scatter_(1, y.unsqueeze(1), 0)
    assert ((moved / rounds - others).abs() <= 0.12).all()


@pytest.mark.parametrize("flips", [0, 1, 7, 40])
def test_flips_chosen_once_are_those_that_are_flipped_most(flips):
    worth, y = setting(replicas=1)
    soft = soft_labels(Reach(torch.ones(1, 1), torch.tensor([7.0]).double()), worth, y)[..., 0]
    new = fixed_flips(soft, y, flips, torch.Generator().manual_seed(0))
    own = flipped(soft.unsqueeze(2), y)[:, 0]
    changed = new != y
    assert int(changed.sum()) == flips
    if 0 < flips < 40:
        assert own[changed].min() >= own[~changed].max()


def test_a_budget_that_is_all_but_spent_is_meant_to_be():
    y = torch.zeros(50, dtype=torch.int64)
    for flipped_share, limit, wanted in (
        (0.39999, 0.5, 40.0),
        (0.4, 0.5, 40.0),
        (0.2, 0.5, 20.0),
        (0.0, 1.0, 0.0),
    ):
        soft = torch.tensor([1 - flipped_share, flipped_share]).expand(50, 2)
        assert meant(soft, y, limit, 40) == pytest.approx(wanted, abs=1e-4)
    almost = torch.tensor([1 - 0.39999, 0.39999]).expand(50, 2)
    draw = torch.Generator().manual_seed(0)
    for _ in range(300):
        assert int(drawn_flips(almost, y, 0.5, meant(almost, y, 0.5, 40), draw).sum()) == 40


def test_no_mass_no_flips():
    y = torch.arange(6) % 3
    clean = torch.nn.functional.one_hot(y, 3).float()
    draw = torch.Generator().manual_seed(0)
    assert torch.equal(drawn_flips(clean, y, 0.5, 2.0, draw), y)
    assert torch.equal(fixed_flips(clean, y, 2, draw), y)


def test_uneven_limits_by_listing():
    """Two rows, one binary choice each: the price is found where the sum meets the mass."""
    y = torch.zeros(2, dtype=torch.int64)
    worth = torch.tensor([[0.0, -2.0], [0.0, 1.0]]).unsqueeze(2)
    for mass in (0.2, 0.7, 1.4):
        own = flipped(soft_labels(Reach(torch.ones(1, 1), torch.tensor([mass]).double()), worth, y), y)[:, 0]
        free = torch.tensor([2.0, -1.0]).sigmoid()
        if free.sum() <= mass:
            torch.testing.assert_close(own, free)
        else:
            assert float(own.sum()) == pytest.approx(mass, abs=1e-5)
            odds = (own / (1 - own)).log()
            assert float(odds[0] - odds[1]) == pytest.approx(3.0, abs=1e-3)
