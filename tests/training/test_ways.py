"""Both ways through training keep one contract, and the loop asks nothing else of a way."""

import dataclasses

import pytest
import torch

from turncoat import Recipe, Threat, models
from turncoat.federation import Federation
from turncoat.training.pooled import Pooled
from turncoat.training.stack import material, stack_run
from turncoat.training.task import Way, start

RECIPE = Recipe(epochs=2, batch_size=9, learning_rate=0.1)
WAYS = {"pooled": Federation(), "federated": Federation(workers=5, hostile=2)}
THREATS = (
    Threat(),
    Threat(0.4, 0.5, placement="fixed"),
    Threat(0.4, 0.5, placement="fixed", selection="random"),
)


@pytest.fixture(params=WAYS)
def task(request, multi):
    data = material(models.build("logistic", multi), multi, "cpu")
    return stack_run(data, RECIPE, 3, THREATS, WAYS[request.param]).task


def test_an_epoch_is_as_many_batches_as_steps_and_can_be_gone_on_with_anywhere(task):
    whole = list(task.way.batches(task, 1, 0, 1))
    assert isinstance(task.way, Way) and len(whole) == task.way.steps(task)
    for at, (row, _) in enumerate(whole):
        rest = list(task.way.batches(task, 1, row, 1))
        assert [end for end, _ in rest] == [end for end, _ in whole[at + 1 :]]
        assert all(torch.equal(a, b) for (_, a), (_, b) in zip(rest, whole[at + 1 :], strict=True))


def test_many_batches_at_a_time_are_the_same_batches(task):
    def one_by_one(many):
        return [rows for _, taken in task.way.batches(task, 0, 0, many) for rows in taken]

    some, single = one_by_one(3), one_by_one(1)
    assert len(some) == len(single) and all(map(torch.equal, some, single))


@pytest.mark.parametrize("schedule", ["epoch", "step", "once"])
def test_a_pool_is_every_example_once_and_its_parts_are_what_may_be_written_to(schedule, task):
    threats = tuple(dataclasses.replace(threat, schedule=schedule) for threat in THREATS[1:])
    pool = task.way.pool(task, threats, 1)
    n = len(task.y)
    assert torch.equal(pool.order.sort().values, torch.arange(n))
    for replica, threat in enumerate(threats):
        parts = pool.parts(replica)
        rows = [i for first, end in parts for i in range(first, end)]
        assert rows == list(range(int(pool.sizes[replica]))) and len(rows) == threat.writable(n)


def test_a_step_is_counted_and_moves_every_replica(task):
    state = start(task)
    before = {name: value.clone() for name, value in state.params.items()}
    state.labels = task.y.unsqueeze(1).repeat(1, len(THREATS))
    _, rows = next(iter(task.way.batches(task, 0, 0, 1)))
    task.way.step(task, state, rows[0])
    assert state.step == 1
    for name, axis in task.model.replica_axis.items():
        moved = (state.params[name] - before[name]).movedim(axis, 0).flatten(1).abs().amax(1)
        assert (moved > 0).all()


class Twice(Pooled):
    """Every mini-batch is trained on two times."""

    def steps(self, task):
        return 2 * super().steps(task)

    def batches(self, task, epoch, done, many):
        whole = [rows for _, rows in super().batches(task, epoch, 0, 1) for _ in range(2)]
        yield from ((at + 1, whole[at]) for at in range(done, len(whole)))


def test_the_loop_takes_any_way(multi):
    data = material(models.build("logistic", multi), multi, "cpu")
    runs = [stack_run(data, RECIPE, 3, THREATS) for _ in range(3)]
    runs[1].task = dataclasses.replace(runs[1].task, way=Twice())
    runs[2].task = dataclasses.replace(runs[2].task, recipe=dataclasses.replace(RECIPE, epochs=4))
    taken = [sum(run.advance()) for run in runs]
    assert taken == [run.steps() for run in runs] and taken[1] == 2 * taken[0] == taken[2]
    clean = [run.curves()[:, 0, 2] for run in runs]
    assert clean[1][-1] < clean[0][-1]  # twice as many steps come farther
