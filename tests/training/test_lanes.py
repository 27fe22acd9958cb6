"""Stacks trained side by side end as they would one after another."""

import dataclasses
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from turncoat import Recipe, Threat, train
from turncoat.training import lanes, replay
from turncoat.training.lanes import side_by_side

RECIPE = Recipe(epochs=3, batch_size=7, learning_rate=0.3)
THREATS = (Threat(0.8, 0.5), Threat(0.5, 0.5, goal="targeted"), Threat(0.4, 0.5, schedule="once"))


@pytest.fixture
def three_lanes(monkeypatch):
    monkeypatch.setattr(lanes, "lanes", lambda device, count: [nullcontext() for _ in range(3)])


def work(name, steps, log):
    for _ in range(steps):
        log.append(name)
        yield
    log.append(name.upper())


@pytest.mark.parametrize(
    ("steps", "order"),
    [
        ([], ""),
        ([0, 0], "AB"),
        ([2, 1], "aaAbB"),
    ],
)
def test_one_lane_ends_a_work_before_the_next(steps, order):
    log = []
    side_by_side((work("abcd"[i], n, log) for i, n in enumerate(steps)), "cpu")
    assert "".join(log) == order


@pytest.mark.parametrize(
    ("steps", "order"),
    [
        ([2], "aaA"),
        ([2, 1, 3], "abcaBcAcC"),
        ([1, 4, 2, 1, 0], "abcAdbcDEbCbB"),
    ],
)
def test_lanes_take_turns(steps, order, three_lanes):
    log = []
    side_by_side((work("abcde"[i], n, log) for i, n in enumerate(steps)), "cpu")
    assert "".join(log) == order


def test_a_failure_closes_the_others(three_lanes):
    closed = []

    def patient(name):
        try:
            while True:
                yield
        finally:
            closed.append(name)

    def failing():
        yield
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        side_by_side(iter([patient("a"), failing(), patient("b")]), "cpu")
    assert sorted(closed) == ["a", "b"]


@pytest.mark.parametrize(("taken", "most"), [(40, 1), (25, 2), (2, 4)])
def test_a_gpu_is_not_filled(taken, most, monkeypatch):
    going = set()
    together = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100 - taken * len(going), 100))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(lanes, "lanes", lambda device, count: [nullcontext() for _ in range(4)])

    def heavy(name):
        going.add(name)
        for _ in range(3):
            together.append(len(going))
            yield
        going.remove(name)

    side_by_side((heavy(i) for i in range(9)), "cuda:0")
    assert max(together) == most and len(together) == 27


def test_the_same_models_come_out(multi, three_lanes, monkeypatch):
    found = train(multi, threats=THREATS, seeds=range(4), recipe=RECIPE)
    monkeypatch.undo()
    wanted = train(multi, threats=THREATS, seeds=range(4), recipe=RECIPE)
    assert [(run.threat, run.seed) for run in found.runs] == [(run.threat, run.seed) for run in wanted.runs]
    for run, one in zip(found.runs, wanted.runs, strict=True):
        np.testing.assert_array_equal(run.curves, one.curves)


def test_recordings_of_several_lanes_keep_apart(multi, three_lanes, monkeypatch):
    def hollow(run, changed):
        return run

    monkeypatch.setattr(replay, "STEPS", 4)
    monkeypatch.setattr(replay, "suits", lambda task: True)
    monkeypatch.setattr(replay, "cuda_graph", hollow)
    found = train(multi, threats=THREATS, seeds=range(4), recipe=RECIPE)
    monkeypatch.undo()
    wanted = train(multi, threats=THREATS, seeds=range(4), recipe=RECIPE)
    for run, one in zip(found.runs, wanted.runs, strict=True):
        np.testing.assert_array_equal(run.curves, one.curves)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("patience", [0, 1])
def test_the_same_models_come_out_of_a_gpu(patience, multi, monkeypatch):
    recordings = []
    graph = replay.cuda_graph
    monkeypatch.setattr(replay, "STEPS", 4)
    monkeypatch.setattr(replay, "cuda_graph", lambda *given: recordings.append(1) or graph(*given))
    recipe = dataclasses.replace(RECIPE, patience=patience, epochs=6)
    found = train(multi, threats=THREATS, seeds=range(12), recipe=recipe, device="cuda")
    assert len(recordings) >= 12
    wanted = train(multi, threats=THREATS, seeds=range(12), recipe=recipe)
    for run, one in zip(found.runs, wanted.runs, strict=True):
        np.testing.assert_allclose(run.curves, one.curves, rtol=1e-3, atol=0.03)
