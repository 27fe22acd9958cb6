"""Partitions, and who the workers of a run are."""

import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from turncoat import Recipe, Threat, TurncoatError, from_arrays, train
from turncoat.federation import AGGREGATORS, Federation
from turncoat.federation.aggregators import lfighter
from turncoat.federation.crowd import enlist, head_block
from turncoat.federation.messages import pack, unpack
from turncoat.federation.partition import deal
from turncoat.models import build
from turncoat.models.logistic import logistic

quick = settings(max_examples=30, deadline=None)


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def labels(n=600, classes=5, seed=0):
    return torch.randint(classes, (n,), generator=draw(seed))


@quick
@given(st.sampled_from(["iid", "dirichlet:5", "dirichlet:50", "shards:2", "shards:3"]), st.integers(1, 9))
def test_shards_hold_every_example_once(partition, workers):
    shards = deal(labels(), workers, partition, draw(workers))
    assert len(shards) == workers and all(len(shard) for shard in shards)
    assert torch.equal(torch.cat(shards).sort().values, torch.arange(600))


@pytest.mark.parametrize("partition", ["iid", "dirichlet:1", "shards:2"])
def test_the_same_seed_deals_the_same(partition):
    one, two, other = (deal(labels(), 6, partition, draw(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_iid_parts_are_equal():
    assert sorted(len(part) for part in deal(labels(103), 10, "iid", draw())) == [10] * 7 + [11] * 3


def spread(partition):
    """Mean total variation between the workers' class shares and those of all data."""
    y = labels(4000)
    whole = np.bincount(y, minlength=5) / len(y)
    parts = deal(y, 8, partition, draw(3))
    return np.mean([np.abs(np.bincount(y[p], minlength=5) / len(p) - whole).sum() / 2 for p in parts])


def test_a_smaller_alpha_sets_the_workers_apart():
    assert spread("iid") < 0.05
    assert spread("dirichlet:1000") < 0.05
    assert 0.05 < spread("dirichlet:5") < spread("dirichlet:0.3")


def test_dirichlet_shares_have_the_moments_of_the_distribution():
    y = torch.zeros(10_000, dtype=torch.int64)
    first = [len(deal(y, 4, "dirichlet:2", draw(seed))[0]) / 10_000 for seed in range(400)]
    assert np.mean(first) == pytest.approx(1 / 4, abs=0.03)
    assert np.var(first) == pytest.approx(0.25 * 0.75 / (4 * 2 + 1), rel=0.25)  # a0 = 8


def test_shards_hold_few_classes():
    y = torch.arange(600) % 10
    parts = deal(y, 10, "shards:1", draw())
    assert all(len(y[part].unique()) == 1 for part in parts)
    assert max(len(y[part].unique()) for part in deal(y, 10, "shards:2", draw())) <= 3


@pytest.mark.parametrize(
    ("n", "workers", "partition", "said"),
    [
        (5, 6, "iid", "6 workers for 5 examples: give at most 5 workers"),
        (40, 20, "dirichlet:0.01", "leaves worker"),
        (5, 5, "shards:4", "cuts 20 slices for 5 workers out of 5 examples: give at most 'shards:1'"),
        (40, 4, "shards:99999", "cuts 399996 slices .* give at most 'shards:10'"),
        (40, 4, "dirichlet", "needs a number above 0 after the colon, such as 'dirichlet:0.1'"),
        (40, 4, "dirichlet:-1", "needs a number above 0"),
        (40, 4, "shards:1.5", "such as 'shards:2'"),
        (40, 4, "iid:3", "iid takes no number"),
        (40, 4, "dirichlett:1", "did you mean 'dirichlet'"),
    ],
)
def test_partitions_that_cannot_be(n, workers, partition, said):
    with pytest.raises(TurncoatError, match=said) as caught:
        deal(labels(n), workers, partition, draw())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"workers": 4, "hostile": 5}, "hostile is 5, but there are only 4 workers"),
        ({"hostile": 1}, "hostile = 1 needs workers"),
        ({"aggregator": "median"}, "aggregator = 'median' needs workers"),
        ({"workers": -1}, "workers is -1, but must be a whole number, 0 or more"),
        ({"workers": 4, "local_steps": 0}, "local_steps is 0"),
        ({"workers": 4, "worker_momentum": 1.0}, "worker_momentum is 1, but must be below 1"),
        ({"workers": 4, "aggregator": "trimmed"}, "did you mean 'trimmed_mean'"),
        ({"workers": 4, "aggregator": "krum+nnm"}, "makes no sense"),
        ({"workers": 4, "aggregator": "nnm+nnm+mean"}, "makes no sense|twice"),
        ({"workers": 4, "partition": "niid"}, "unknown partition"),
        ({"workers": 4, "tolerated": -2}, "tolerated is -2"),
        ({"workers": 4, "participation": 0}, "participation is 0, so nobody sends anything"),
        ({"workers": 4, "participation": 1.5}, "participation is 1.5, but it is a share"),
        ({"participation": 0.5}, "participation = 0.5 needs workers"),
        ({"workers": 4, "weighting": "sized"}, "unknown weighting 'sized'; did you mean 'size'"),
        (
            {"workers": 4, "weighting": "size", "aggregator": "median"},
            "weighting 'size' is for aggregator 'mean'",
        ),
    ],
)
def test_settings_that_cannot_be(fields, said):
    with pytest.raises(TurncoatError, match=said) as caught:
        Federation(**fields)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("aggregator", "workers", "hostile", "said"),
    [
        ("trimmed_mean", 4, 2, "trimmed_mean needs 2f < w"),
        ("median", 4, 2, "median needs 2f < w"),
        ("krum", 6, 2, "krum needs 2f \\+ 2 < w .Blanchard"),
        ("bulyan", 6, 1, "bulyan needs 4f \\+ 2 < w .*Guerraoui|bulyan needs 4f"),
        ("nnm+trimmed_mean", 4, 2, "needs 2f < w"),
    ],
)
def test_too_many_hostile_workers_for_a_rule(aggregator, workers, hostile, said, multi):
    with pytest.raises(TurncoatError, match=said) as caught:
        train(
            multi,
            threats=[Threat()],
            seeds=[0],
            recipe=Recipe(epochs=1),
            federation=Federation(workers=workers, hostile=hostile, aggregator=aggregator),
        )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("federation", "threat", "recipe", "said"),
    [
        (
            Federation(),
            Threat(0.2, selection="sign_flip"),
            Recipe(),
            "forges workers' messages: give workers",
        ),
        (Federation(workers=5, hostile=1), Threat(0.3), Recipe(), "own k = 0.2 of the data"),
        (
            Federation(workers=5, hostile=1, local_steps=2),
            Threat(),
            Recipe(optimizer="adam"),
            "optimizer 'adam' would do nothing: use sgd",
        ),
    ],
)
def test_threats_that_do_not_fit(federation, threat, recipe, said, multi):
    with pytest.raises(TurncoatError, match=said):
        train(multi, threats=[threat], seeds=[0], recipe=recipe, federation=federation)


def test_every_worker_sees_its_own_shard_alone_and_all_of_it_in_turn():
    setting = Federation(workers=4, hostile=2, partition="dirichlet:1")
    y = labels(200)
    crowd = enlist(setting, logistic(3, 5), y, seed=7, batch_size=8, epochs=2)
    epoch = crowd.epoch(7, 0)
    assert epoch.shape == (7, 4, 8)  # ⌈200 / (4 · 8)⌉ rounds
    for worker, shard in enumerate(crowd.shards):
        mine = epoch[:, worker].flatten()
        assert set(mine.tolist()) <= set(shard.tolist())
        times = torch.bincount(mine, minlength=200)[shard]
        assert int(times.max() - times.min()) <= 1
    assert torch.equal(epoch, crowd.epoch(7, 0)) and not torch.equal(epoch, crowd.epoch(7, 1))
    (a, b), (c, d) = crowd.blocks
    assert torch.equal(crowd.order[a:b], crowd.shards[0]) and torch.equal(crowd.order[c:d], crowd.shards[1])


@pytest.mark.parametrize("model", ["logistic", "mlp", "vit-tiny"])
def test_lfighter_finds_the_output_layer(model):
    x = torch.rand(40, 1, 8, 8, generator=draw())
    stack = build(model, from_arrays(x, torch.arange(40) % 4, x_test=x, y_test=torch.arange(40) % 4))
    offset, classes, width = head_block(stack)
    assert classes == 4
    params = stack.init(draw(), 1)
    inputs = stack.prepare(x.flatten(1))
    before = stack.logits(params, inputs)
    for label in range(4):  # a change of one row of the block changes that class's logit and no other
        vector = pack(stack, params)
        vector[:, offset + label * width : offset + (label + 1) * width] += torch.randn(
            width, generator=draw(label)
        )
        after = stack.logits(unpack(stack, vector, params), inputs)
        moved = (after - before).abs().amax((0, 2)) > 1e-4
        assert moved.tolist() == [c == label for c in range(4)]


def test_lfighter_needs_a_row_per_class(binary):
    with pytest.raises(
        TurncoatError, match="lfighter needs an output layer with one row of weights per class"
    ):
        train(
            binary,
            threats=[Threat()],
            seeds=[0],
            recipe=Recipe(epochs=1),
            federation=Federation(workers=5, hostile=1, aggregator="nnm+lfighter"),
        )


@pytest.mark.parametrize("name", AGGREGATORS)
def test_every_aggregator_trains(name, multi):
    setting = Federation(workers=10, hostile=1, aggregator=name)
    recipe = Recipe(epochs=4, learning_rate=0.5, batch_size=7)
    results = train(multi, threats=[Threat()], seeds=[0], recipe=recipe, federation=setting)
    clean, attacked = results.runs
    assert clean.curve("accuracy")[-1] > 0.5
    assert attacked.threat.write_access == 0.1 and attacked.curve("flips")[0] == 7
    assert np.isfinite(attacked.curve("test_loss")).all()


def test_head_is_what_lfighter_reads():
    messages = torch.randn(1, 6, 4 * 3, generator=draw())
    rule = functools.partial(lfighter, head=head_block(logistic(2, 4)))
    assert rule(messages, 1).shape == (1, 12)
