"""RobustStrategy: our rules on Flower's messages, number by number."""

import functools

import numpy as np
import pytest
import torch

pytest.importorskip("flwr", reason="needs pip install 'turncoat[flower]'")

from flwr.app import ConfigRecord
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg
from one_process import Here, record, reply

from turncoat import TurncoatError
from turncoat.federation import AGGREGATORS, aggregator
from turncoat.flower import RobustStrategy

RULES = [
    *(rule for rule in AGGREGATORS if rule != "lfighter"),
    "nnm+trimmed_mean",
    "arc+nnm+krum",
    "bucketing+median",
]


def round_of(strategy, seed=0, workers=9, dtype=np.float32):
    """What is sent, the replies, and our own messages: sent minus replied."""
    draw = np.random.default_rng(seed)
    shapes = {"weight": (3, 4), "bias": (3,)}
    sent = record(**{name: draw.normal(size=shape).astype(dtype) for name, shape in shapes.items()})
    theirs = [
        record(**{name: draw.normal(size=shape).astype(dtype) for name, shape in shapes.items()})
        for _ in range(workers)
    ]
    strategy.configure_train(1, sent, ConfigRecord(), Here(ClientApp(), workers))
    flat = lambda r: np.concatenate([r[name].numpy().ravel() for name in shapes])  # noqa: E731
    messages = torch.from_numpy(np.stack([flat(sent) - flat(r) for r in theirs]))
    return flat(sent), [reply(r, i + 1) for i, r in enumerate(theirs)], messages, flat


@pytest.mark.parametrize("rule", RULES)
def test_what_the_server_makes_of_equal_messages_is_what_our_own_makes(rule):
    strategy = RobustStrategy(rule, tolerated=1)
    sent, replies, messages, flat = round_of(strategy)
    arrays, _ = strategy.aggregate_train(1, replies)
    expected = sent - aggregator(rule)(messages, 1).numpy()
    np.testing.assert_allclose(flat(arrays), expected, atol=1e-5)
    assert arrays["weight"].numpy().dtype == np.float32


def test_the_mean_is_fedavg_where_all_clients_are_as_large():
    ours, theirs = RobustStrategy("mean", tolerated=0), FedAvg()
    _, replies, _, flat = round_of(ours)
    mine, _ = ours.aggregate_train(1, replies)
    other, _ = theirs.aggregate_train(1, replies)
    np.testing.assert_allclose(flat(mine), flat(other), atol=1e-6)


def test_lfighter_is_told_the_output_layer_by_its_name():
    strategy = RobustStrategy("lfighter", tolerated=2, head="weight")
    sent, replies, messages, flat = round_of(strategy)
    arrays, _ = strategy.aggregate_train(1, replies)
    expected = sent - aggregator("lfighter", head=(0, 3, 4))(messages, 2).numpy()
    np.testing.assert_allclose(flat(arrays), expected, atol=1e-5)


def test_a_rule_of_ones_own_gets_all_messages():
    strategy = RobustStrategy(lambda messages: messages[0])
    _, replies, _, flat = round_of(strategy)
    arrays, _ = strategy.aggregate_train(1, replies)
    np.testing.assert_allclose(flat(arrays), flat(replies[0].content["arrays"]), atol=1e-6)


def test_the_order_in_which_replies_come_changes_nothing():
    strategy = RobustStrategy("bucketing+krum")
    _, replies, _, flat = round_of(strategy)
    one, first = strategy.aggregate_train(1, replies)
    other, second = strategy.aggregate_train(1, replies[::-1])
    assert (flat(one) == flat(other)).all()
    assert dict(first) == dict(second)


def test_the_metrics_of_a_round_hold_each_message_s_norm_and_cosine_to_the_others():
    strategy = RobustStrategy("median")
    _, replies, messages, _ = round_of(strategy)
    _, metrics = strategy.aggregate_train(1, replies)
    assert metrics["nodes"] == list(range(1, 10))
    for i, message in enumerate(messages):
        others = torch.cat([messages[:i], messages[i + 1 :]]).mean(0)
        assert metrics["norms"][i] == pytest.approx(float(message.norm()), rel=1e-5)
        cosine = torch.nn.functional.cosine_similarity(message, others, dim=0)
        assert metrics["cosines"][i] == pytest.approx(float(cosine), abs=1e-5)


def test_clients_own_metrics_are_averaged_as_fedavg_does():
    strategy = RobustStrategy("median")
    strategy.configure_train(1, record(w=np.zeros(2)), ConfigRecord(), Here(ClientApp(), 3))
    replies = [reply(record(w=np.ones(2)), i + 1, loss=float(i)) for i in range(3)]
    _, metrics = strategy.aggregate_train(1, replies)
    assert metrics["loss"] == pytest.approx(1.0)


def test_counters_are_counted_and_not_aggregated():
    strategy = RobustStrategy("mean_around_median", tolerated=1)
    state = functools.partial(record, batches=np.asarray(7))
    strategy.configure_train(1, state(w=np.zeros(2, np.float32)), ConfigRecord(), Here(ClientApp(), 3))
    replies = [
        reply(record(w=np.full(2, i, np.float32), batches=np.asarray(seen)), i + 1)
        for i, seen in enumerate((9, 1_000_000, 9))
    ]
    arrays, metrics = strategy.aggregate_train(1, replies)
    assert arrays["batches"].numpy() == 9 and arrays["batches"].numpy().dtype == np.int64
    assert metrics["norms"] == pytest.approx([0, 2**0.5, 8**0.5])


def test_double_precision_is_kept():
    strategy = RobustStrategy("median")
    sent, replies, messages, flat = round_of(strategy, dtype=np.float64)
    arrays, _ = strategy.aggregate_train(1, replies)
    assert flat(arrays).dtype == np.float64
    np.testing.assert_allclose(flat(arrays), sent - messages.median(0).values.numpy(), rtol=1e-14)


def test_without_a_round_before_the_arrays_themselves_are_aggregated():
    strategy = RobustStrategy("median")
    replies = [reply(record(w=np.asarray([value])), i + 1) for i, value in enumerate((1.0, 2.0, 9.0))]
    arrays, _ = strategy.aggregate_train(1, replies)
    assert arrays["w"].numpy() == [2.0]


def test_no_reply_leaves_the_arrays_as_they_were():
    assert RobustStrategy().aggregate_train(1, []) == (None, None)


class TestBadInput:
    def test_a_rule_that_needs_more_clients_than_replied(self):
        strategy = RobustStrategy("trimmed_mean", tolerated=3)
        _, replies, _, _ = round_of(strategy, workers=6)
        with pytest.raises(
            TurncoatError, match=r"round 4, 6 clients replied: trimmed_mean needs 2f < w .*use f <= 2"
        ):
            strategy.aggregate_train(4, replies)

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            ({"aggregator": "medain"}, "unknown aggregator 'medain'; did you mean 'median'"),
            ({"aggregator": "median", "tolerated": -1}, "tolerated is -1"),
            ({"aggregator": 7}, "aggregator takes a name or a callable"),
        ],
    )
    def test_what_is_refused_before_anything_is_sent(self, as_users_run, arguments, told):
        with pytest.raises(TurncoatError, match=told):
            RobustStrategy(**arguments)

    def test_arrays_of_another_shape_or_name(self):
        strategy = RobustStrategy("median")
        round_of(strategy, workers=3)
        good = {"weight": np.zeros((3, 4)), "bias": np.zeros(3)}
        with pytest.raises(TurncoatError, match=r"array 'bias' of a reply is \(4,\), but \(3,\) was sent"):
            strategy.aggregate_train(1, [reply(record(**good | {"bias": np.zeros(4)}), 1)])
        with pytest.raises(TurncoatError, match="differ in array 'extra'"):
            strategy.aggregate_train(1, [reply(record(**good, extra=np.zeros(1)), 1)])

    def test_lfighter_without_its_layer_or_with_one_that_is_not_there(self):
        strategy = RobustStrategy("lfighter")
        _, replies, _, _ = round_of(strategy)
        with pytest.raises(TurncoatError, match="output layer"):
            strategy.aggregate_train(1, replies)
        strategy.head = "wieght"
        with pytest.raises(TurncoatError, match="head is 'wieght', but the arrays are weight, bias"):
            strategy.aggregate_train(1, replies)
        strategy.head = "bias"
        with pytest.raises(TurncoatError, match="must be the output layer's"):
            strategy.aggregate_train(1, replies)
