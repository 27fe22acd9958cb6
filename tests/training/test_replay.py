"""Recorded steps against the same steps taken one by one."""

import dataclasses
import weakref
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from turncoat import Recipe, Threat, models
from turncoat.training import lanes, replay
from turncoat.training.stack import material, stack_run

PLAIN = Recipe(epochs=3, batch_size=7, learning_rate=0.3)
HEAVY = Recipe(epochs=3, batch_size=7, learning_rate=0.1, momentum=0.9, weight_decay=0.01)
PATIENT = Recipe(epochs=8, batch_size=7, learning_rate=0.3, patience=1, held_out=0.2)
ADAM = Recipe(epochs=1, batch_size=7, optimizer="adam")


def threats(**fields):
    return (
        Threat(0.8, 0.5, **fields),
        Threat(0.5, 0.5, goal="targeted", **fields),
        Threat(0.3, 0.9, **fields),
    )


def curves(data, recipe, chosen, device="cpu"):
    run = stack_run(material(models.build("logistic", data), data, device), recipe, 1, chosen)
    taken = list(run.advance())
    return run.curves(), taken, run


def hollow(run, changed):
    """Records on the CPU by taking the steps anew at every play; what a recording must not keep is spoilt."""
    before = [value.clone() for value in changed]
    run()
    for value, old in zip(changed, before, strict=True):
        value.copy_(old)
    return run


@pytest.mark.parametrize(
    ("recipe", "chosen"),
    [
        (PLAIN, threats()),
        (HEAVY, threats()),
        (PATIENT, threats()),
        (PLAIN, threats(schedule="once")),
    ],
    ids=["plain", "heavy", "patient", "once"],
)
def test_recorded_steps_train_the_same_models(recipe, chosen, multi, monkeypatch):
    wanted, one_by_one, run = curves(multi, recipe, chosen)
    recordings = []
    monkeypatch.setattr(replay, "STEPS", 4)
    monkeypatch.setattr(replay, "suits", lambda task: True)
    monkeypatch.setattr(replay, "cuda_graph", lambda *given: recordings.append(1) or hollow(*given))
    found, taken, again = curves(multi, recipe, chosen)
    np.testing.assert_array_equal(found, wanted)
    assert len(recordings) > (recipe is PATIENT)  # new ones when replicas stop
    assert len(taken) < len(one_by_one) and sum(taken) == sum(one_by_one)
    for name, value in run.main.params.items():
        assert torch.equal(again.main.params[name], value)
    assert run.main.step == again.main.step


def test_a_cut_run_goes_on_between_recordings(multi, monkeypatch):
    wanted, _, _ = curves(multi, PLAIN, threats())
    monkeypatch.setattr(replay, "STEPS", 4)
    monkeypatch.setattr(replay, "suits", lambda task: True)
    monkeypatch.setattr(replay, "cuda_graph", hollow)
    data = material(models.build("logistic", multi), multi, "cpu")
    cut = stack_run(data, PLAIN, 1, threats())
    steps = cut.advance()
    for _ in range(5):
        next(steps)
    rest = stack_run(data, PLAIN, 1, threats())
    rest.restore(cut.to_arrays())
    list(rest.advance())
    np.testing.assert_array_equal(rest.curves(), wanted)


def test_only_what_every_step_launches_alike_is_recorded(multi):
    def task(recipe, *chosen):
        return stack_run(material(models.build("logistic", multi), multi, "cpu"), recipe, 0, chosen).task

    class Elsewhere:
        is_cuda = True

    def on_a_gpu(task):
        object.__setattr__(task, "x", Elsewhere())
        return replay.suits(task)

    assert not replay.suits(task(PLAIN, Threat(0.5)))
    assert on_a_gpu(task(PLAIN, Threat(0.5))) and on_a_gpu(task(HEAVY, Threat(0.5, schedule="once")))
    assert not on_a_gpu(task(ADAM, Threat(0.5)))
    assert not on_a_gpu(task(PLAIN, Threat(0.5, schedule="step")))
    assert not on_a_gpu(task(PLAIN, Threat(0.5, knowledge="surrogate")))
    own = task(PLAIN, Threat(0.5))
    object.__setattr__(own, "model", dataclasses.replace(own.model, recordable=False))
    assert not on_a_gpu(own)


@pytest.mark.parametrize("recipe", [PLAIN, PATIENT], ids=["plain", "patient"])
def test_a_recording_is_let_go_before_the_next_is_made(recipe, multi, monkeypatch):
    alive = weakref.WeakSet()

    class Recording:
        def __init__(self, run):
            self.run = run

        def __call__(self):
            self.run()

    def record(run, changed):
        assert not alive
        made = Recording(run)
        alive.add(made)
        return made

    monkeypatch.setattr(replay, "STEPS", 4)
    monkeypatch.setattr(replay, "suits", lambda task: True)
    monkeypatch.setattr(replay, "cuda_graph", record)
    curves(multi, recipe, threats())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("in_a_lane", [False, True])
@pytest.mark.parametrize("recipe", [PLAIN, HEAVY, PATIENT], ids=["plain", "heavy", "patient"])
def test_a_cuda_graph_trains_the_same_models(recipe, in_a_lane, multi, monkeypatch):
    recordings = []
    graph = replay.cuda_graph
    monkeypatch.setattr(replay, "STEPS", 4)
    monkeypatch.setattr(replay, "cuda_graph", lambda *given: recordings.append(1) or graph(*given))
    with lanes.lanes("cuda", 1)[0] if in_a_lane else nullcontext():
        found, _, _ = curves(multi, recipe, threats(), "cuda")
        assert len(recordings) > (recipe is PATIENT)
        monkeypatch.setattr(replay, "suits", lambda task: False)
        wanted, _, _ = curves(multi, recipe, threats(), "cuda")
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
