"""A run that is cut off at any step and goes on ends bit for bit as one that was never stopped."""

import io

import numpy as np
import pytest
import torch

from turncoat import Recipe, Threat, models
from turncoat.training.stack import material, stack_run

PLAIN = Recipe(epochs=2, batch_size=24, learning_rate=0.3)
ADAM = Recipe(epochs=2, batch_size=24, learning_rate=0.05, optimizer="adam")
HEAVY = Recipe(epochs=2, batch_size=24, learning_rate=0.1, momentum=0.9, weight_decay=0.01)
PATIENT = Recipe(epochs=8, batch_size=24, learning_rate=0.3, patience=1, held_out=0.2)


def both_goals(**fields):
    return (
        Threat(0.8, 0.5, **fields),
        Threat(0.5, 0.5, goal="targeted", **fields),
        Threat(0.3, 0.9, selection="random", **fields),
    )


KNN = Recipe(epochs=2, batch_size=24, learning_rate=0.3, defence="knn:5")
GOLD = Recipe(epochs=2, batch_size=24, learning_rate=0.3, momentum=0.9, defence="gold:12+trimmed_loss:0.2")

SCHEDULED = Recipe(
    epochs=3, batch_size=24, learning_rate=0.1, momentum=0.9, clip_norm=0.3, lr_schedule="cosine", warmup=1
)
DECAYED = Recipe(
    epochs=2, batch_size=24, learning_rate=0.05, optimizer="adamw", weight_decay=0.1, lr_schedule="step:1:0.1"
)

CASES = {
    "scheduled": (SCHEDULED, both_goals()),
    "decayed-surrogate": (DECAYED, both_goals(knowledge="surrogate", aware=True)),
    "epoch": (PLAIN, both_goals()),
    "step": (HEAVY, both_goals(schedule="step", placement="fixed")),
    "rounds": (HEAVY, both_goals(schedule="epoch/2", last_rounds=1)),
    "once": (ADAM, both_goals(schedule="once")),
    "surrogate": (ADAM, both_goals(knowledge="surrogate", aware=True)),
    "surrogate-step": (HEAVY, both_goals(knowledge="surrogate", schedule="step")),
    "patience": (PATIENT, both_goals()),
    "guarded": (KNN, both_goals()),
    "gold-step": (GOLD, both_goals(schedule="step")),
    "patience-once": (PATIENT, both_goals(schedule="once")),
}


def through_a_file(arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    file.seek(0)
    with np.load(file, allow_pickle=False) as loaded:
        return dict(loaded)


@pytest.mark.usefixtures("as_users_run")  # dozens of runs: checked shapes would triple the time
@pytest.mark.parametrize("case", CASES)
def test_a_cut_run_ends_as_one_that_was_never_stopped(case, multi):
    recipe, threats = CASES[case]
    data = material(models.build("logistic", multi), multi, "cpu")
    whole = stack_run(data, recipe, 1, threats)
    saved = [whole.to_arrays()]
    taken = []
    for count in whole.advance():
        taken.append(count)
        saved.append(whole.to_arrays())
    assert sum(taken) <= whole.steps() and (recipe.patience or sum(taken) == whole.steps())
    if recipe.patience:
        lasted = np.isfinite(whole.curves()[:, :, 0]).sum(0)
        assert lasted.min() < lasted.max()
    # before the first step, within and at the ends of epochs of the target's, surrogate's and main run
    cuts = sorted({*range(0, len(saved), max(1, len(saved) // 4)), len(saved) - 1})
    for cut in cuts:
        again = stack_run(data, recipe, 1, threats)
        again.restore(through_a_file(saved[cut]))
        rest = list(again.advance())
        assert rest == taken[cut:], f"cut after {cut} of {len(taken)} steps"
        np.testing.assert_array_equal(again.curves(), whole.curves())
        ended, wanted = again.to_arrays(), whole.to_arrays()
        assert ended.keys() == wanted.keys()
        for name, value in wanted.items():
            np.testing.assert_array_equal(ended[name], value, err_msg=f"{name}, cut after {cut}")


def test_what_was_written_does_not_change_as_training_goes_on(multi):
    data = material(models.build("logistic", multi), multi, "cpu")
    run = stack_run(data, ADAM, 1, both_goals(knowledge="surrogate"))
    steps = run.advance()
    for _ in range(8):
        next(steps)
    arrays = run.to_arrays()
    before = {name: value.copy() for name, value in arrays.items()}
    list(steps)
    for name, value in before.items():
        np.testing.assert_array_equal(arrays[name], value, err_msg=name)


def test_the_same_seed_gives_the_same_bits(binary):
    data = material(models.build("logistic", binary), binary, "cpu")
    ends = []
    for _ in range(2):
        run = stack_run(data, PLAIN, 3, both_goals())
        list(run.advance())
        ends.append(run)
        torch.rand(5)  # the global generator has no say
    np.testing.assert_array_equal(ends[0].curves(), ends[1].curves())
    other = stack_run(data, PLAIN, 4, both_goals())
    list(other.advance())
    assert (other.curves() != ends[0].curves())[:, :, 0].any()
