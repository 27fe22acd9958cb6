"""Whole runs of a federation: budgets, what an aware attacker gains, going on after a cut, effect."""

import dataclasses

import numpy as np
import pytest
import torch

from turncoat import Recipe, Threat, train
from turncoat.attack.selection import SELECTIONS
from turncoat.federation import Federation
from turncoat.federation.aware import FRACTIONS, seen
from turncoat.models import build
from turncoat.training import choice
from turncoat.training.stack import material, stack_run

pytestmark = pytest.mark.filterwarnings("ignore:idle-threat")  # budgets of nothing are among those tried

RECIPE = Recipe(epochs=3, learning_rate=0.3, batch_size=6)
CROWD = Federation(workers=5, hostile=2)
RULES = [*SELECTIONS, "all_to_one:1", "source_to_target:0:1"]


@pytest.mark.usefixtures("as_users_run")  # dozens of runs: checked shapes would triple the time
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("schedule", ["epoch", "step", "once"])
def test_every_hostile_worker_keeps_to_its_own_budget(name, schedule, multi):
    threat = Threat(local_budget=0.3, selection=name, schedule=schedule, write_access=0.4, placement="fixed")
    run = stack_run(material(build("logistic", multi), multi, "cpu"), RECIPE, 0, (threat,), CROWD)
    for _ in run.advance():
        if run.main is None or run.main.labels is None:
            continue
        changed = run.main.labels[:, 0] != multi.y
        sizes = [int(changed[shard].sum()) for shard in run.task.way.crowd.shards]
        assert all(size <= int(0.3 * 14) for size in sizes[:2]) and not any(sizes[2:])
    flips = run.curves()[:, 0, 3]
    most = 2 * 3 * int(0.3 * 6) if schedule == "step" else 2 * int(0.3 * 14)  # 3 rounds an epoch
    assert (flips <= most).all() and flips.max() > 0


@pytest.mark.parametrize("aggregator", ["mean", "trimmed_mean", "nnm+median", "lfighter"])
@pytest.mark.parametrize("knowledge", ["omniscient", "local", "surrogate"])
@pytest.mark.parametrize("schedule", ["epoch", "step"])
def test_aware_is_never_worse_on_its_own_sample(aggregator, knowledge, schedule, multi, monkeypatch):
    gains = []
    search = choice.aware.against_the_rule

    def watched(trial, propose):
        chosen = search(trial, propose)
        gains.extend((trial.harm(chosen) - trial.harm(propose(1.0))).tolist())
        return chosen

    monkeypatch.setattr(choice.aware, "against_the_rule", watched)
    setting = dataclasses.replace(CROWD, aggregator=aggregator)
    threat = Threat(aware=True, knowledge=knowledge, schedule=schedule)
    train(multi, threats=[threat], seeds=[0, 1], recipe=RECIPE, federation=setting)
    assert gains and min(gains) >= -1e-6
    if aggregator in ("nnm+median", "lfighter"):  # which throw out what stands out
        assert max(gains) > 0
    elif aggregator == "mean" and knowledge == "omniscient":  # the optimal flips are exact
        assert max(gains) <= 1e-6


def test_fractions_start_with_all_of_the_budget():
    assert FRACTIONS[0] == 1 and list(FRACTIONS) == sorted(FRACTIONS, reverse=True) and FRACTIONS[-1] > 0


def test_what_an_attacker_without_sight_tries_its_flips_on():
    rows = torch.arange(6 * 5 * 2).view(6, 5, 2)
    assert torch.equal(seen(rows, 2, "omniscient"), rows[:4])
    for knowledge in ("local", "surrogate"):
        sample = seen(rows, 2, knowledge)
        assert torch.equal(sample[:, :2], rows[:4, :2])
        assert set(sample[:, 2:].flatten().tolist()) <= set(rows[:, :2].flatten().tolist())


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.parametrize(
    ("recipe", "setting", "threats"),
    [
        (RECIPE, {"worker_momentum": 0.9, "aggregator": "median"}, [Threat(), Threat(selection="gaussian")]),
        (
            dataclasses.replace(RECIPE, optimizer="adam", learning_rate=0.02),
            {"partition": "dirichlet:5"},
            [Threat(knowledge="surrogate"), Threat(knowledge="surrogate", goal="targeted")],
        ),
        (
            dataclasses.replace(RECIPE, momentum=0.5),
            {"aggregator": "nnm+trimmed_mean"},
            [Threat(schedule="step", aware=True), Threat(schedule="step", selection="least_likely")],
        ),
        (RECIPE, {"local_steps": 3, "aggregator": "geometric_median"}, [Threat(schedule="once")]),
        (
            RECIPE,
            {"participation": 0.6, "tolerated": 1, "worker_momentum": 0.5, "aggregator": "median"},
            [Threat(schedule="step", aware=True, knowledge="local"), Threat(schedule="step")],
        ),
    ],
)
def test_cut_anywhere_ends_as_if_never_stopped(recipe, setting, threats, multi):
    federation = dataclasses.replace(CROWD, **setting)
    data = material(build("logistic", multi), multi, "cpu")
    placed = tuple(dataclasses.replace(t, write_access=0.4, placement="fixed") for t in threats)

    def fresh():
        return stack_run(data, recipe, 4, placed, federation)

    whole = fresh()
    steps = sum(1 for _ in whole.advance())
    absent = CROWD.workers - federation.present
    assert (np.isnan(whole.samples()).all(3).sum(2) == absent).all()
    for cut in range(1, steps, 2):
        first = fresh()
        for taken, _ in enumerate(first.advance(), 1):
            if taken == cut:
                break
        second = fresh()
        second.restore(first.to_arrays())
        assert sum(1 for _ in second.advance()) == steps - cut
        np.testing.assert_array_equal(second.curves(), whole.curves())
        np.testing.assert_array_equal(second.samples(), whole.samples())
        for name, value in whole.main.params.items():
            assert torch.equal(second.main.params[name], value)


def test_seeds_and_neighbours_do_not_matter(multi):
    setting = dataclasses.replace(CROWD, aggregator="geometric_median")
    one = train(multi, threats=[Threat()], seeds=[1], recipe=RECIPE, federation=setting)
    many = train(
        multi, threats=[Threat(local_budget=0.5), Threat(), Threat(selection="random")], seeds=[0, 1],
        recipe=RECIPE, federation=setting,
    )  # fmt: skip
    (alone,) = (run for run in one.runs if not run.threat.is_clean)
    (among,) = (run for run in many.runs if run.threat == alone.threat and run.seed == 1)
    np.testing.assert_allclose(among.curves, alone.curves, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(among.samples, alone.samples, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("as_users_run")
def test_flips_harm_the_mean_and_a_robust_rule_answers(digits):
    recipe = Recipe(epochs=15, learning_rate=0.1, batch_size=32)
    threats = [Threat(), Threat(selection="random")]
    harms = {}
    for aggregator in ("mean", "nnm+trimmed_mean"):
        setting = Federation(workers=10, hostile=3, aggregator=aggregator)
        table = train(digits, threats=threats, seeds=[0, 1], recipe=recipe, federation=setting).summary()
        harms[aggregator] = table.set_index("selection")["harm.mean"][1:]
    assert harms["mean"]["optimal"] > 0.2 and harms["mean"]["random"] < 0.1
    assert harms["nnm+trimmed_mean"]["optimal"] < 0.1


@pytest.mark.parametrize("model", ["logistic", "mlp:4"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_surrogate_rests_in_rounds_without_a_hostile_worker(model, optimizer, multi):
    """Half of six workers take part, one of them hostile: its own model learns in some of the steps alone."""
    federation = Federation(workers=6, hostile=1, participation=0.5)
    recipe = Recipe(epochs=2, batch_size=4, learning_rate=0.05, optimizer=optimizer)
    threat = Threat(selection="optimal", knowledge="surrogate")
    found = train(multi, model, [threat], seeds=[0, 1], recipe=recipe, federation=federation)
    assert all(np.isfinite(run.curve("accuracy")).all() for run in found.runs)
    assert all(run.curve("flips").max() > 0 for run in found.runs if not run.threat.is_clean)
