"""What real federations have: workers that take part now and then, and hold more or less."""

import numpy as np
import pytest
import torch
from test_federation_steps import begun

from turncoat import Recipe, Threat, TurncoatError, train
from turncoat.federation import Federation, aggregator
from turncoat.federation.aggregators.averages import mean, weighted_mean
from turncoat.federation.crowd import enlist
from turncoat.federation.messages import gradients, pack
from turncoat.models.logistic import logistic

RECIPE = Recipe(epochs=3, batch_size=5, learning_rate=0.4)


def crowd_of(n=200, **fields):
    y = torch.arange(n) % 4
    return enlist(Federation(**fields), logistic(3, 4), y, seed=7, batch_size=5, epochs=2)


@pytest.mark.parametrize(("share", "present"), [(1.0, 10), (0.3, 3), (0.31, 4), (0.01, 1)])
def test_so_many_take_part_each_round(share, present):
    crowd = crowd_of(workers=10, participation=share)
    rounds = [crowd.present(7, 0, turn) for turn in range(60)]
    assert all(len(who) == present and len(who.unique()) == present for who in rounds)
    assert all(torch.equal(who, who.sort().values) for who in rounds)
    assert torch.cat(rounds).unique().tolist() == list(range(10))
    assert all(torch.equal(crowd.present(7, 0, turn), who) for turn, who in enumerate(rounds))
    if present < 10:
        assert len({tuple(who.tolist()) for who in rounds}) > 1
        assert not torch.equal(
            torch.cat(rounds), torch.cat([crowd.present(8, 0, turn) for turn in range(60)])
        )


def test_each_worker_takes_part_as_often_as_any_other():
    crowd = crowd_of(workers=10, participation=0.3)
    counts = np.bincount(torch.cat([crowd.present(1, e, t) for e in range(20) for t in range(100)]))
    assert np.abs(counts / 2000 - 0.3).max() < 0.04


@pytest.mark.parametrize("share", [1.0, 0.5, 0.2])
def test_an_epoch_has_rounds_enough_to_see_the_data_about_once(share):
    crowd = crowd_of(workers=10, participation=share)
    assert crowd.rounds * crowd.federation.present * crowd.batch == pytest.approx(200, abs=crowd.batch * 10)


@pytest.mark.parametrize(
    ("fields", "f"),
    [
        ({"hostile": 3}, 3),
        ({"hostile": 3, "participation": 0.5}, 2),
        ({"hostile": 4, "participation": 0.5}, 2),
        ({"hostile": 1, "participation": 0.1}, 1),
        ({"hostile": 3, "participation": 0.5, "tolerated": 1}, 1),
        ({"hostile": 0, "participation": 0.5}, 0),
    ],
)
def test_a_rule_is_set_for_the_hostile_workers_to_be_expected(fields, f):
    assert Federation(workers=10, **fields).f == f


def test_a_rule_that_cannot_stand_so_few_is_refused_before_training(multi):
    setting = Federation(workers=10, hostile=4, participation=0.4, aggregator="krum")
    with pytest.raises(TurncoatError, match=r"krum needs 2f \+ 2 < w .*f is 2 of w = 4"):
        train(multi, threats=[Threat()], seeds=[0], recipe=RECIPE, federation=setting)


@pytest.mark.parametrize("rule", ["mean", "median", "nnm+trimmed_mean"])
def test_the_server_steps_on_the_messages_of_those_who_take_part(rule):
    setting = Federation(workers=8, hostile=2, participation=0.5, aggregator=rule)
    task, state = begun("logistic", RECIPE, setting)
    for turn, rows in enumerate(task.way.crowd.epoch(task.seed, 0)[:4]):
        state.row = turn
        own = rows[task.way.crowd.present(task.seed, 0, turn)]
        sent = gradients(task.model, state.params, task.x[own], state.labels[own].long()).transpose(0, 1)
        wanted = pack(task.model, state.params) - 0.4 * aggregator(rule)(sent, 1)
        task.way.step(task, state, rows)
        torch.testing.assert_close(pack(task.model, state.params), wanted, rtol=1e-5, atol=1e-6)


def test_the_momentum_of_a_worker_waits_while_it_does():
    setting = Federation(workers=6, hostile=1, participation=0.5, worker_momentum=0.75)
    task, state = begun("logistic", RECIPE, setting)
    memory = {}
    for turn, rows in enumerate(task.way.crowd.epoch(task.seed, 0)[:5]):
        state.row = turn
        who = task.way.crowd.present(task.seed, 0, turn)
        sent = gradients(task.model, state.params, task.x[rows[who]], state.labels[rows[who]].long())
        for worker, message in zip(who.tolist(), sent, strict=True):
            memory[worker] = 0.75 * memory.get(worker, 0.0) + 0.25 * message
        mixed = torch.stack([memory[worker] for worker in who.tolist()]).mean(0)
        wanted = pack(task.model, state.params) - 0.4 * mixed
        task.way.step(task, state, rows)
        torch.testing.assert_close(pack(task.model, state.params), wanted, rtol=1e-4, atol=1e-6)


def test_by_size_a_message_counts_as_often_as_its_worker_has_examples():
    setting = Federation(workers=5, hostile=1, partition="dirichlet:1", weighting="size", participation=0.8)
    task, state = begun("logistic", RECIPE, setting)
    crowd = task.way.crowd
    sizes = [len(shard) for shard in crowd.shards]
    assert len(set(sizes)) > 1
    rows, who = crowd.epoch(task.seed, 0)[0], crowd.present(task.seed, 0, 0).tolist()
    sent = gradients(task.model, state.params, task.x[rows[who]], state.labels[rows[who]].long())
    whole = sum(sizes[worker] for worker in who)
    average = sum(sizes[worker] / whole * message for worker, message in zip(who, sent, strict=True))
    wanted = pack(task.model, state.params) - 0.4 * average
    task.way.step(task, state, rows)
    torch.testing.assert_close(pack(task.model, state.params), wanted, rtol=1e-5, atol=1e-6)


def test_equal_weights_make_the_plain_mean_and_broken_messages_count_for_nothing():
    messages = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(weighted_mean(messages, 0, weights=torch.full((5,), 3)), mean(messages, 0))
    weights = torch.tensor([1.0, 2, 3, 4, 5])
    alone = weighted_mean(messages[:, 1:], 1, weights=weights[1:])
    messages[:, 0, 3] = torch.nan
    torch.testing.assert_close(weighted_mean(messages, 1, weights=weights), alone)
    assert weighted_mean(messages, 0, weights=weights).isnan().any()


@pytest.mark.parametrize("selection", ["optimal", "sign_flip"])
@pytest.mark.parametrize("schedule", ["epoch", "step"])
def test_who_is_absent_sends_nothing_to_look_at(selection, schedule, multi):
    if selection == "sign_flip" and schedule == "step":
        pytest.skip("forged messages know no schedule")
    setting = Federation(workers=6, hostile=2, participation=0.5, aggregator="median")
    threat = Threat(selection=selection, schedule=schedule)
    results = train(multi, threats=[threat], seeds=[0], recipe=RECIPE, federation=setting)
    for run in results.runs:
        assert (np.isfinite(run.samples).all(2).sum(1) == 3).all()
        assert np.isfinite(run.curve("accuracy")).all()
    assert "visibility.auc_norm" in results.summary()


def test_with_all_present_and_equal_weights_nothing_is_new(multi):
    plain = Federation(workers=5, hostile=2, aggregator="median")
    said = Federation(workers=5, hostile=2, aggregator="median", participation=1, weighting="equal")
    assert plain == said and plain.present == 5
