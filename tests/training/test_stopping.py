"""Early stopping: each replica for itself, with the same result as alone, and free of charge afterwards."""

import numpy as np
import pytest
import torch

from turncoat import Recipe, Threat, models, train
from turncoat.threat import CLEAN
from turncoat.training.stack import material, stack_run

RECIPE = Recipe(epochs=25, batch_size=8, learning_rate=0.5, patience=2, held_out=0.3)
THREATS = (Threat(1.0, 0.1), Threat(0.6, 1.0), Threat(0.3, 0.5, selection="random"), Threat(1.0, 0.4))


@pytest.mark.parametrize("model", ["logistic", "mlp:6"])
@pytest.mark.parametrize("options", [{}, {"optimizer": "adam", "learning_rate": 0.05}, {"momentum": 0.5}])
def test_stopped_as_if_alone(model, options, multi):
    recipe = Recipe(**{**RECIPE.__dict__, **options})
    together = train(multi, model=model, threats=THREATS, seeds=[0], recipe=recipe).runs
    lasted = {len(run.curves) for run in together}
    assert len(lasted) > 1 and min(lasted) < recipe.epochs, (
        "the test needs replicas that stop at different times"
    )
    for run in together:
        alone = train(multi, model=model, threats=[run.threat], seeds=[run.seed], recipe=recipe).runs[-1]
        assert alone.threat == run.threat and alone.curves.shape == run.curves.shape
        np.testing.assert_allclose(run.curves, alone.curves, rtol=1e-4, atol=1e-5)


def test_patience_counts_epochs_without_a_better_held_out_loss(multi):
    """Against torch on one model: the run ends ``patience`` epochs after its best held-out loss."""
    data = material(models.build("mlp:6", multi), multi, "cpu")
    stack = stack_run(data, RECIPE, 0, (CLEAN,))
    task, losses, params = stack.task, [], None
    epoch = -1
    for _ in stack.advance():
        state = stack.main
        if state.epoch != epoch:  # the first step of an epoch comes after the one before was judged
            epoch = state.epoch
        params = {k: v.clone() for k, v in state.params.items()}
        if state.row == len(task.x):
            z = task.model.logits(params, task.x_held).squeeze(2)
            losses.append(float(torch.nn.functional.cross_entropy(z, task.y_held)))
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + RECIPE.patience < RECIPE.epochs
    assert np.isfinite(stack.curves()[: len(losses)][:, 0, 0]).all()
    assert np.isnan(stack.curves()[len(losses) :]).all()


def test_stopped_replicas_cost_nothing_more(multi):
    data = material(models.build("mlp:6", multi), multi, "cpu")
    stack = stack_run(data, RECIPE, 0, (CLEAN, *sorted(THREATS, key=lambda t: -t.write_access)))
    batches = -(-len(stack.task.x) // RECIPE.batch_size)
    taken = 0
    for steps in stack.advance():
        assert len(stack.main.params["hidden"]) == steps, "a stopped replica is still in the stack"
        taken += steps
    lasted = np.isfinite(stack.curves()[:, :, 0]).sum()
    assert taken == batches * lasted < stack.steps()


def test_held_out_examples_are_not_trained_on(multi):
    data = material(models.build("logistic", multi), multi, "cpu")
    task = stack_run(data, RECIPE, 3, (CLEAN,)).task
    assert len(task.x_held) == int(0.3 * len(multi.y)) and len(task.x) + len(task.x_held) == len(multi.y)
    rows = {tuple(row) for row in task.x.tolist()}
    assert not rows & {tuple(row) for row in task.x_held.tolist()}
