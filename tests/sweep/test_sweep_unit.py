"""A sweep's unit of work: progress, a state to go on from at any moment, rows; and what executors tell."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from turncoat import Dataset, TurncoatError, load
from turncoat.sweep import executor, experiment, prepared, runner
from turncoat.sweep.executor import Job, Pace, bundles, here
from turncoat.sweep.stacks import Stack
from turncoat.sweep.unit import Checkpoint, Reached, Trained, start, train_stack

KEYS = {"epochs": 2, "batch_size": 256, "learning_rate": 0.5, "seeds": 2, "write_access": [0.3, 1.0]}


@pytest.fixture(scope="module")
def stack() -> Stack:
    return plan()[0].stack


def plan(**more: object) -> list[runner.Planned]:
    return list(runner.planned(experiment.cells(experiment.experiment(KEYS | more)), set(), "cpu"))


def ended(moments: Iterator[Reached | Trained]) -> Trained:
    *_, last = moments
    assert isinstance(last, Trained)
    return last


def same(one: Trained, other: Trained) -> None:
    assert [key for key, _ in one.rows] == [key for key, _ in other.rows]
    for (_, a), (_, b) in zip(one.rows, other.rows, strict=True):
        np.testing.assert_array_equal(a.curves, b.curves)
        assert (a.config, a.chance, a.step_stability) == (b.config, b.chance, b.step_stability)


def test_a_stack_goes_on_from_any_of_its_moments(stack: Stack) -> None:
    whole = ended(train_stack(stack))
    assert len(whole.rows) == len(stack.cells)
    steps = [moment.steps for moment in train_stack(stack) if isinstance(moment, Reached)]
    assert steps == sorted(set(steps)) and steps[-1] == start(stack).steps()
    for cut in (0, len(steps) // 2, len(steps) - 1):
        moments = train_stack(stack)
        for _ in range(cut):
            next(moments)
        reached = next(moments)
        assert isinstance(reached, Reached)
        saved = reached.checkpoint()
        assert saved.steps == reached.steps == steps[cut]
        same(ended(moments), whole)
        rest = list(train_stack(stack, saved))
        assert [m.steps for m in rest if isinstance(m, Reached)] == steps[cut + 1 :]
        same(ended(iter(rest)), whole)


def test_an_executor_asks_for_the_next_job_when_it_begins_it() -> None:
    asked: list[int] = []

    def jobs() -> Iterator[Job]:
        for i, item in enumerate(plan(seeds=4)):
            asked.append(i)
            yield Job(item.stack, item.lanes)

    with closing(here(jobs(), Pace(checkpoints=0.0))) as events:
        name, told = next(events)
        assert isinstance(told, Checkpoint) and told.steps > 0
        assert asked == [0, 1], "the next is made ready, no more"
        trained = [name for name, told in events if isinstance(told, Trained)]
    assert len(set(trained)) == 4 and name == trained[0]


def test_data_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By plan and training together."""
    times: list[object] = []

    def counted(*given: object, **more: object) -> Dataset:
        times.append(given)
        return load("digits", "raw")

    prepared.prepared.cache_clear()
    monkeypatch.setattr(prepared, "load", counted)
    runner.sweep(experiment.experiment(KEYS | {"seeds": 3, "scale": "raw"}), tmp_path / "s.db")
    assert len(times) == 1


def test_a_pace_says_how_much_is_told(stack: Stack) -> None:
    def told(pace: Pace) -> list[str]:
        return [type(what).__name__ for _, what in here([Job(stack, 1)], pace)]

    assert told(Pace(checkpoints=1e9, progress=1e9)) == ["Trained"]
    steps = told(Pace(checkpoints=1e9))
    assert set(steps[:-1]) == {"int"} and steps[-1] == "Trained"
    assert set(told(Pace(checkpoints=0.0))[:-1]) == {"Checkpoint"}


def test_bundles_are_of_one_data_set() -> None:
    jobs = [Job(item.stack, item.lanes) for item in plan(scale=["raw", "unit"], seeds=3)]
    assert [len(bundle) for bundle in bundles(jobs)] == [1] * 6
    on_gpu = [Job(Stack(job.stack.cells, job.stack.shapes, "cuda"), 2) for job in jobs]
    found = list(bundles(on_gpu))
    assert [len(bundle) for bundle in found] == [2, 1, 2, 1]
    assert [job for bundle in found for job in bundle] == on_gpu


@pytest.mark.parametrize("error", [TurncoatError("too much"), MemoryError("too much")])
def test_an_error_says_which_cell_it_is_of(
    error: Exception, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> Iterator[Reached]:
        raise error
        yield

    monkeypatch.setattr(executor, "train_stack", failing)
    with pytest.raises(type(error), match="too much") as caught:
        list(here([Job(stack, 1)], Pace(0.0)))
    told = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert f"while training {executor.described([stack])}" in told
    assert '"selection":"random"' in told and f"and {len(stack.cells) - 1} more" in told
    assert "\n" not in str(caught.value)


def test_an_error_ends_the_sweep_and_what_was_trained_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = experiment.experiment(KEYS)
    second = plan()[1].stack.key

    def failing(stack: Stack, *rest: object) -> Iterator[Reached | Trained]:
        if stack.key == second:
            raise TurncoatError("no more")
        return train_stack(stack)

    monkeypatch.setattr(executor, "train_stack", failing)
    with pytest.raises(TurncoatError, match=r"no more \(while training the cell .*seed"):
        runner.sweep(asked, tmp_path / "s.db")
    monkeypatch.undo()
    assert runner.sweep(asked, tmp_path / "s.db").trained == 5
