"""Aggregators by name and chain, and callables in their place."""

import pytest
import torch

from turncoat.errors import TurncoatError
from turncoat.federation import AGGREGATORS, PREAGGREGATORS, aggregator
from turncoat.federation.aggregators import bucketing, lfighter


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_chain_is_its_links_in_turn():
    messages = draw(2, 15, 8)
    clipped = PREAGGREGATORS["arc"](messages, 3)
    expected = AGGREGATORS["krum"](PREAGGREGATORS["nnm"](clipped, 3), 3)
    assert torch.equal(aggregator("arc+nnm+krum")(messages, 3), expected)
    assert torch.equal(aggregator("arc+nnm+krum")(messages[1], 3), expected[1])


def test_a_name_is_the_rule_itself():
    assert aggregator("median") is AGGREGATORS["median"]


@pytest.mark.parametrize(
    ("chain", "said"),
    [
        ("trimed_mean", "did you mean 'trimmed_mean'"),
        ("nmm+mean", "did you mean 'nnm'"),
        ("nnm", "exactly one aggregator comes last"),
        ("trimmed_mean+nnm", "exactly one aggregator comes last"),
        ("krum+mean", "exactly one aggregator comes last"),
        ("nnm+nnm+mean", "twice"),
        ("nnm++mean", "unknown aggregator ''"),
        ("", "unknown aggregator ''"),
    ],
)
def test_nonsense_is_one_line(chain, said):
    with pytest.raises(TurncoatError) as caught:
        aggregator(chain)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_many_hostile_for_the_buckets_left():
    with pytest.raises(TurncoatError, match="f is 4 of w = 8 messages"):
        aggregator("bucketing+median")(draw(15, 8), 4)


def test_any_callable_is_taken_replica_by_replica():
    def first(messages):
        messages[1:] = 0  # whatever it does to its argument stays there
        return messages.sum(0)

    messages = draw(3, 5, 4)
    before = messages.clone()
    assert torch.equal(aggregator(first)(messages, 1), before[:, 0])
    assert torch.equal(aggregator(first)(messages[2], 1), before[2, 0])
    assert torch.equal(messages, before)


@pytest.mark.parametrize(
    "wrong", [lambda m: m, lambda m: m.mean(1), lambda m: m.mean(0).float(), lambda m: m.mean(0).tolist()]
)
def test_a_callable_that_returns_something_else_is_told(wrong):
    with pytest.raises(TurncoatError, match=r"it must return torch.float64 of shape \(4,\)"):
        aggregator(wrong)(draw(3, 5, 4), 1)


@pytest.mark.parametrize(
    "messages", [torch.ones(3, 4, dtype=torch.int64), torch.ones(3), torch.ones(0, 4), torch.ones(1, 2, 3, 4)]
)
def test_messages_of_another_kind_are_told(messages):
    with pytest.raises(TurncoatError, match="messages"):
        AGGREGATORS["mean"](messages, 0)


def test_bucketing_takes_a_generator():
    messages = draw(2, 9, 4)
    fixed = bucketing(messages, 1)
    assert torch.equal(fixed, bucketing(messages, 1))
    generator = torch.Generator().manual_seed(7)
    assert not torch.equal(fixed, bucketing(messages, 1, generator=generator))
    assert bucketing(messages, 1, size=4).shape == (2, 3, 4)
    with pytest.raises(TurncoatError, match="size"):
        bucketing(messages, 1, size=0)


def test_lfighter_must_know_the_head():
    messages = draw(9, 30)
    with pytest.raises(TurncoatError, match=r"head=\(offset, classes, width\)"):
        AGGREGATORS["lfighter"](messages, 2)
    with pytest.raises(TurncoatError, match="does not fit messages of 30 parameters"):
        lfighter(messages, 2, head=(10, 3, 10))
    head = (0, 3, 10)
    assert torch.equal(aggregator("lfighter", head=head)(messages, 2), lfighter(messages, 2, head=head))
