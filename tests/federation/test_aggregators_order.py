"""Order statistics: three ways, one answer."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from turncoat.federation.aggregators import order
from turncoat.federation.aggregators.network import (
    run,
    selection_network,
    sorting_network,
    trimming_network,
)


def through(network, messages):
    """The kept values per coordinate, in the order of the rows."""
    r, w, p = messages.shape
    return torch.stack(run(network, messages, messages.new_empty(w + 1, r, p)), 1)


@pytest.mark.parametrize("size", range(1, 11))
def test_network_sorts_all_zeros_and_ones(size):
    """The 0-1 principle: a network that sorts every 0-1 sequence sorts everything (Knuth, vol. 3, 5.3.4)."""
    cases = torch.tensor(list(itertools.product([0.0, 1.0], repeat=size))).T[None]
    assert torch.equal(through(selection_network(size, range(size)), cases), cases.sort(1).values)


def test_selection_leaves_out_what_nobody_reads():
    pairs = sorting_network(20)
    network = selection_network(20, range(9, 11))
    assert len(network.steps) < len(pairs) and network.cost < 2 * len(network.steps)
    assert selection_network(20, range(20)).cost == 2 * len(pairs)


def test_blocks_of_the_cpu_are_even():
    assert order._even(20, 10) == 10 and order._even(20, 9) == 7 and order._even(3, 10) == 3


def test_messages_are_left_as_they_were():
    messages = torch.randn(2, 9, 30)
    before = messages.clone()
    order.mean_of_ranks(messages, range(2, 7))
    assert torch.equal(messages, before)


@settings(max_examples=60, deadline=None)
@given(
    w=st.integers(1, 40), r=st.integers(1, 3), p=st.integers(1, 50), seed=st.integers(0, 99), data=st.data()
)
def test_ranks_equal_a_full_sort(w, r, p, seed, data):
    messages = torch.randn(r, w, p, generator=torch.Generator().manual_seed(seed))
    cut = data.draw(st.integers(0, (w - 1) // 2))
    ranks = range(cut, w - cut)
    expected = messages.sort(1).values[:, cut : w - cut].mean(1)
    torch.testing.assert_close(order.mean_of_ranks(messages, ranks), expected)


@pytest.mark.parametrize("spoil", [None, torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("w", [7, 20, 31])
def test_the_three_ways_agree(monkeypatch, w, spoil):
    messages = torch.randn(3, w, 300, generator=torch.Generator().manual_seed(w), dtype=torch.float64)
    if spoil is not None:
        messages[:, :2, ::3] = spoil
    monkeypatch.setattr(order, "BLOCK", 64)
    monkeypatch.setattr(order, "THREADED", 1)
    monkeypatch.setattr(order, "ROW", 128)
    monkeypatch.setattr(order, "STACKED_ROW", 128)
    answers = []
    for limit, ready in ((100, messages), (0, messages), (0, messages.clone().requires_grad_())):
        monkeypatch.setattr(order, "NETWORK_WORKERS", limit)
        ranks = range(2, w - 2)
        answers.append((order.mean_of_ranks(ready, ranks), order.mean_of_nearest(ready, w - 2)))
    for mean, nearest in answers:
        assert mean.isfinite().all()
        torch.testing.assert_close(mean, answers[0][0])
        torch.testing.assert_close(nearest, answers[0][1])


@pytest.mark.parametrize("w", [9, 40])
def test_gradients_pass_through(w):
    messages = torch.randn(1, w, 5, dtype=torch.float64, requires_grad=True)
    order.mean_of_ranks(messages, range(2, w - 2)).sum().backward()
    assert torch.allclose(messages.grad.sum(1), torch.ones(1, 5, dtype=torch.float64))


def test_strided_messages_are_read_as_they_are():
    messages = torch.randn(40, 30, generator=torch.Generator().manual_seed(0)).T.unsqueeze(0)
    ranks = order.middle(30)
    torch.testing.assert_close(
        order.mean_of_ranks(messages, ranks), order.mean_of_ranks(messages.contiguous(), ranks)
    )


@pytest.mark.parametrize("w", range(3, 25))
def test_trimming_leaves_what_sorting_leaves(w):
    values = torch.randn(2, w, 40, generator=torch.Generator().manual_seed(w))
    values[:, : w // 2, ::3] = 1.0  # ties
    for cut in range(1, (w + 1) // 2):
        network = trimming_network(w, cut)
        left = through(network, values).sort(1).values
        assert torch.equal(left, values.sort(1).values[:, cut : w - cut])
        broken = values.clone()
        broken[1, w - 1, 7] = torch.nan
        assert through(network, broken).isnan().any(1).nonzero().tolist() == [[1, 7]]
    assert trimming_network(10, 2).cost == 2 * 5 + 2 * (2 * 4 - 1) + 2 * 4 + 2 * (2 * 3 - 1)
    assert trimming_network(7, 1).cost == 2 * 3 + 2 * (2 * 3 - 1)
