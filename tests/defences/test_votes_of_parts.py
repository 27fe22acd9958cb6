"""Models on parts that vote: against models trained one by one, and through a cut."""

import numpy as np
import pytest
import torch

from turncoat import Recipe, Threat, from_arrays, models, train
from turncoat.training.parted import PartedRun
from turncoat.training.stack import material, stack_run
from turncoat.training.task import CURVES, IN_TRAINING
from turncoat.voting import deal

RECIPE = Recipe(epochs=3, batch_size=8, learning_rate=0.3, defence="partitions:4")
THREATS = (Threat(), Threat(0.8, 0.5), Threat(0.8, 0.5, selection="random"))


def run_of(data, recipe=RECIPE):
    return stack_run(material(models.build("logistic", data), data, "cpu"), recipe, 0, THREATS)


def test_the_vote_is_that_of_models_trained_on_each_part(multi):
    run = run_of(multi)
    assert isinstance(run, PartedRun)
    for _ in run.advance():
        pass
    plain = Recipe(epochs=3, batch_size=8, learning_rate=0.3)
    model = models.build("logistic", multi)
    x = model.prepare(multi.x)
    votes = np.zeros((len(multi.y_test), 4, len(THREATS)))
    flips = 0
    for rows in deal(x, 4):
        own = from_arrays(multi.x[rows], multi.y[rows], x_test=multi.x_test, y_test=multi.y_test, classes=4)
        alone = stack_run(material(models.build("logistic", own), own, "cpu"), plain, 0, THREATS)
        for _ in alone.advance():
            pass
        answer = model.logits(alone.main.params, model.prepare(multi.x_test)).argmax(1)
        flips = flips + alone.curves()[:, :, CURVES.index("flips")]
        for t in range(len(answer)):
            for j in range(len(THREATS)):
                votes[t, int(answer[t, j]), j] += 1
    wanted = (votes.argmax(1) == multi.y_test.numpy()[:, None]).mean(
        0
    )  # the first of equals is the lower label
    found = run.curves()
    np.testing.assert_allclose(found[-1, :, 0], wanted)
    np.testing.assert_array_equal(found[:, :, CURVES.index("flips")], flips)
    assert np.isfinite(found[-1, 1:, : IN_TRAINING.start]).all()


@pytest.mark.parametrize("cut", [1, 7, 20])
def test_a_run_goes_on_where_it_was_cut(cut, multi):
    whole = run_of(multi)
    for _ in whole.advance():
        pass
    first, then = run_of(multi), run_of(multi)
    for number, _ in enumerate(first.advance(), 1):
        if number == cut:
            break
    then.restore(first.to_arrays())
    for _ in then.advance():
        pass
    np.testing.assert_array_equal(whole.curves(), then.curves())


def test_votes_train_in_one_call_with_their_steps_counted(multi):
    told = []
    results = train(
        multi,
        threats=THREATS[1:],
        seeds=[0],
        recipe=RECIPE,
        progress=lambda done, of: told.append((done, of)),
    )
    assert told[-1][0] == told[-1][1]
    assert len(results.runs) == 3 and torch.isfinite(torch.tensor(results.runs[1].curve("accuracy"))).all()
