"""Steps recorded once and played again: on a GPU many steps are one launch, not a dozen launches each.

A step of a small model lasts a few microseconds on a GPU, less than its launches take from Python. A CUDA graph holds
the launches of several steps; what changes between them (the rows of the batches, the labels of the epoch) is copied
to where the graph reads it.
"""

import dataclasses
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from turncoat.training.task import RunState, Task

STEPS = 16
"""Steps in a recording: enough to hide a launch, few enough to leave an epoch's last batches a small rest."""

Launches = Callable[[], None]
Recording = Callable[[Launches, Sequence[Tensor]], Launches]


def suits(task: Task) -> bool:
    """Whether the same launches do for every step: on a GPU, pooled data, plain SGD, labels fixed for the epoch."""
    plain = (
        task.recipe.optimizer == "sgd"
        and task.recipe.steady
        and task.way.repeats
        and task.schedule in ("epoch", "once")
    )
    alone = all(threat.knowledge != "surrogate" for threat in task.threats)
    return task.x.is_cuda and task.model.recordable and plain and alone and task.guard is None


def cuda_graph(run: Launches, changed: Sequence[Tensor]) -> Launches:
    """Record what ``run`` launches; it is run once before, and the tensors that it changes are put back.

    A recording holds the address of its stream's workspace, which the end of an earlier recording of the same stream
    takes away: so every lane records in its own stream, and lets go of the last recording before it makes the next.
    """
    with torch.cuda.device(changed[0].device):
        return _recorded(run, changed)


def _recorded(run: Launches, changed: Sequence[Tensor]) -> Launches:
    before = [value.clone() for value in changed]
    run()  # libraries choose kernels and take memory on first use, which can't be recorded
    for value, old in zip(changed, before, strict=True):
        value.copy_(old)
    graph = torch.cuda.CUDAGraph()
    here = torch.cuda.current_stream()
    aside = None if here == torch.cuda.default_stream() else here  # the default stream can't be recorded in
    with torch.cuda.graph(graph, stream=aside):
        run()
    return graph.replay


class Replay:
    """``STEPS`` steps of the replicas that train now, as often as they are asked for."""

    def __init__(self, task: Task, state: RunState, record: Recording) -> None:
        assert state.labels is not None
        self.params = state.params
        self.labels = state.labels.clone()
        self.source = state.labels
        self.rows = torch.zeros(STEPS, task.recipe.batch_size, dtype=torch.int64, device=task.x.device)
        recorded = dataclasses.replace(
            state, labels=self.labels
        )  # with the very tensors that training changes

        batches = self.rows  # not self: what is recorded must not keep its recording

        def run() -> None:
            for rows in batches:
                task.way.step(task, recorded, rows)

        slots = (value for slot in state.slots.values() for value in slot.values())
        self.play = record(run, [*state.params.values(), *slots])

    def fits(self, state: RunState) -> bool:
        """Whether it still is about the state's replicas: those that stop early leave others in new tensors."""
        return state.params is self.params

    def __call__(self, state: RunState, rows: Int[Tensor, "s b"]) -> None:
        """Take the steps on these batches."""
        assert state.labels is not None
        if state.labels is not self.source:  # a new epoch
            self.labels.copy_(state.labels)
            self.source = state.labels
        self.rows.copy_(rows)
        self.play()
        state.step += len(rows)
