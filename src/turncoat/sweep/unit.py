"""A sweep's unit of work: one stack, from its first step or from where it was cut off, to its rows.

Nothing here knows of a store, a clock or another stack, so a unit runs wherever its data are, and any number of times:
every draw is a function of the seed, its purpose and its round.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np

from turncoat.analysis.train import finished
from turncoat.metrics import chance
from turncoat.sweep.cells import config, key
from turncoat.sweep.environment import environment
from turncoat.sweep.frames import Record
from turncoat.sweep.packing import Arrays
from turncoat.sweep.prepared import Source, prepared, read, stability
from turncoat.sweep.stacks import Stack
from turncoat.training.stack import Training, stack_run


@dataclasses.dataclass(frozen=True, eq=False)
class Checkpoint:
    """All that a stack needs to go on, and the replica-steps it had taken by then."""

    steps: int
    state: Arrays


@dataclasses.dataclass(frozen=True, eq=False)
class Reached:
    """A moment between two steps; ``checkpoint`` copies the state that the stack is in when it is called."""

    steps: int
    checkpoint: Callable[[], Checkpoint]


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """What a stack ends with: a row per cell with its key, and what computed them."""

    rows: list[tuple[str, Record]]
    environment: dict[str, str | int]


def train_stack(
    stack: Stack, saved: Checkpoint | None = None, source: Source = read
) -> Iterator[Reached | Trained]:
    """Train a stack to its end: a moment after every step, or every few, from which it can go on; then its rows.

    Raises:
        TurncoatError: if its data or model can't be had here, or are others than the stack was made for.
    """
    run = start(stack, source)
    taken = 0
    if saved is not None:
        run.restore(saved.state)
        taken = saved.steps

    def checkpoint() -> Checkpoint:
        return Checkpoint(taken, run.to_arrays())

    for steps in run.advance():
        taken += steps
        yield Reached(taken, checkpoint)
    yield Trained(_rows(stack, run, source), environment(stack.device))


def start(stack: Stack, source: Source = read) -> Training:
    """The stack's run before its first step."""
    first = stack.cells[0]
    data = prepared(first.problem, first.fingerprint, stack.device, source)
    threats = tuple(cell.threat for cell in stack.cells)
    return stack_run(data, first.recipe, first.seed, threats, first.federation)


def _rows(stack: Stack, run: Training, source: Source) -> list[tuple[str, Record]]:
    first = stack.cells[0]
    common = chance(run.task.y_test)
    step = stability(first.problem, first.fingerprint, first.recipe, stack.device, source)
    known = None if math.isnan(step) else step
    return [
        (key(cell), Record(config(cell), np.ascontiguousarray(done.curves), common, known, done.samples))
        for cell, done in zip(stack.cells, finished(run), strict=True)
    ]
