"""When and where the attacker writes: read off the labels that the server trains on."""

import numpy as np
import pytest
import torch
from one_by_one import train_one

from turncoat import Recipe, Threat, models, train
from turncoat.attack.selection import SELECTIONS
from turncoat.training.stack import material, stack_run

RECIPE = Recipe(epochs=4, batch_size=24, learning_rate=0.3)


def labels_by_epoch(data, threat, recipe=RECIPE):
    """The labels (epochs, n) on which one attacked replica trains."""
    run = stack_run(material(models.build("logistic", data), data, "cpu"), recipe, 3, (threat,))
    seen = {}
    for _ in run.advance():
        if run.main is not None and run.main.labels is not None:
            seen.setdefault(run.main.epoch, run.main.labels[:, 0].long().clone())
    return torch.stack([seen[epoch] for epoch in sorted(seen)]), run


def flipped(labels, data):
    return [frozenset((row != data.y).nonzero().flatten().tolist()) for row in labels]


def test_resampled_access_is_new_in_every_epoch_and_labels_are_clean_again(multi):
    labels, _ = labels_by_epoch(multi, Threat(0.3, selection="cyclic"))
    rows = flipped(labels, multi)
    assert len(rows) == 4 and len(set(rows)) == 4
    assert {len(row) for row in rows} == {Threat(0.3).writable(multi.n)}


def test_fixed_access_is_the_same_all_along(multi):
    labels, _ = labels_by_epoch(multi, Threat(0.3, selection="cyclic", placement="fixed"))
    assert len(set(flipped(labels, multi))) == 1
    labels, _ = labels_by_epoch(multi, Threat(0.5, 0.3, placement="fixed"))
    touched = frozenset().union(*flipped(labels, multi))
    assert len(touched) <= Threat(0.5).writable(multi.n)


@pytest.mark.parametrize("placement", ["resampled", "fixed"])
@pytest.mark.parametrize("goal", ["untargeted", "targeted"])
def test_flips_chosen_once_are_kept_in_every_epoch(placement, goal, multi):
    threat = Threat(0.6, 0.5, schedule="once", placement=placement, goal=goal)
    labels, run = labels_by_epoch(multi, threat)
    assert (labels == labels[0]).all()
    spent = int((labels[0] != multi.y).sum())
    assert 0 < spent <= threat.flips(multi.n)
    np.testing.assert_array_equal(run.curves()[:, 0, 3], spent)


def test_a_batchwise_attacker_spends_within_every_batch(multi):
    k, b, size = 0.5, 0.5, 24
    spent = []

    def counting(scores, labels, flips, generator):
        spent.append((len(labels), flips))
        return SELECTIONS["cyclic"](scores, labels, flips, generator)

    threat = Threat(k, b, schedule="step", selection=counting)
    results = train(multi, threats=[threat], seeds=[0], recipe=RECIPE)
    batches = [size] * (multi.n // size) + [multi.n % size]
    wanted = [(int(k * batch), int(b * int(k * batch))) for batch in batches] * RECIPE.epochs
    assert spent == wanted
    assert (results.runs[-1].curve("flips") == sum(flips for _, flips in wanted[: len(batches)])).all()


@pytest.mark.parametrize("schedule", ["epoch", "step", "once"])
def test_a_target_whose_training_stops_early_still_steers(schedule, multi):
    recipe = Recipe(epochs=12, batch_size=24, learning_rate=0.8, patience=1, held_out=0.2)
    threat = Threat(0.6, 0.6, goal="targeted", schedule=schedule)
    run = stack_run(material(models.build("logistic", multi), multi, "cpu"), recipe, 0, (threat,))
    list(run.advance())
    assert run.target.epoch < recipe.epochs and len(run.target.alive) == 0
    own = run.curves()[:, 0]
    wanted, _ = train_one(multi, threat, 0, recipe)
    np.testing.assert_allclose(own[np.isfinite(own[:, 0])], wanted, rtol=1e-4, atol=1e-5)


def test_local_knowledge_of_everything_is_omniscience(multi):
    threats = [Threat(1.0, 0.5), Threat(1.0, 0.5, knowledge="local")]
    _, all_seen, all_owned = train(multi, threats=threats, seeds=[0], recipe=RECIPE).runs
    np.testing.assert_allclose(all_seen.curves, all_owned.curves, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:idle-threat")
def test_an_aware_attacker_of_plain_sgd_has_nothing_to_correct(multi):
    threats = [Threat(0.5, 0.5), Threat(0.5, 0.5, aware=True)]
    _, plain, aware = train(multi, threats=threats, seeds=[0], recipe=RECIPE).runs
    np.testing.assert_allclose(plain.curves, aware.curves, rtol=1e-5, atol=1e-6)
