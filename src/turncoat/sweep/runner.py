"""Run an experiment to its end: whatever its cells lack in the store is trained, and nothing else."""

import dataclasses
import itertools
import math
import os
import time
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from turncoat.analysis.train import finished
from turncoat.errors import TurncoatError, real, whole
from turncoat.federation.threats import tile_size
from turncoat.metrics import chance
from turncoat.models.stack import shapes
from turncoat.sweep import leases, owners, processes
from turncoat.sweep.cells import Cell, config, key
from turncoat.sweep.environment import environment
from turncoat.sweep.experiment import Experiment, cells
from turncoat.sweep.frames import Record
from turncoat.sweep.prepared import prepared, stability
from turncoat.sweep.stacks import Stack, by_seed, stacks
from turncoat.sweep.store import Store, known_keys, open_store
from turncoat.training.lanes import Work, lanes_for, side_by_side
from turncoat.training.stack import StackRun, stack_run

CHECKPOINT = 30.0  # seconds between checkpoints: no more than that is lost when a sweep is killed
INTERVAL = "TURNCOAT_CHECKPOINT_SECONDS"  # sets another number
POLL = 0.5  # seconds between two looks at what another sweep has left

Progress = Callable[[int, int], None]  # replica-steps done, replica-steps in all


@dataclasses.dataclass(frozen=True)
class Swept:
    """An experiment that is complete: its cells, and how many of them were trained just now."""

    cells: list[Cell]
    trained: int


@dataclasses.dataclass(frozen=True)
class Planned:
    """A stack, how many replica-steps it takes, and how many such stacks may train at once."""

    stack: Stack
    steps: int
    lanes: int


def sweep(experiment: Experiment, path: str | Path, progress: Progress | None = None, jobs: int = 1) -> Swept:
    """Train the cells that the store at ``path`` lacks; go on where an earlier sweep was cut off.

    Several sweeps may share a store: each trains what no other has taken. With ``jobs`` above 1 so many processes
    do at once, as far as there are stacks for them.

    Raises:
        TurncoatError: for an experiment that can't be run, before the store is touched, or a store that
            can't be written.
    """
    jobs = whole(jobs, "jobs", least=1)
    file = Path(path)
    known = known_keys(file)
    interval = checkpoint_interval()
    wanted = cells(experiment)
    plan = list(planned(wanted, known, experiment.device))
    if not plan:
        return Swept(wanted, 0)
    missing = sum(len(set(map(key, item.stack.cells)) - known) for item in plan)
    with open_store(file, create=True) as store:
        alone = _Sweep(store, experiment.device, interval, progress or _silent)
        jobs = min(jobs, len(plan))
        if jobs == 1:
            return Swept(wanted, alone.run(plan))
        with processes.helped(partial(sweep, experiment, file), jobs):
            alone.run(plan)
    return Swept(wanted, missing)


def planned(wanted: list[Cell], known: set[str], device: str) -> Iterator[Planned]:
    """The stacks that are still to be trained, those of one data set and model after one another."""
    order = {problem: i for i, problem in enumerate(dict.fromkeys(cell.problem for cell in wanted))}
    for alike in sorted(by_seed(wanted), key=lambda group: order[group[0].problem]):
        if all(key(cell) in known for cell in alike):
            continue
        model = prepared(alike[0].problem, alike[0].fingerprint, device).model
        tile = tile_size(model, alike[0].federation, device)
        for stack in stacks(alike, tile, known, shapes(model)):
            yield Planned(stack, start(stack, device).steps(), lanes_for(model))


def start(stack: Stack, device: str) -> StackRun:
    """The stack's run before its first step."""
    first = stack.cells[0]
    data = prepared(first.problem, first.fingerprint, device)
    threats = tuple(cell.threat for cell in stack.cells)
    return stack_run(data, first.recipe, first.seed, threats, first.federation)


def checkpoint_interval() -> float:
    """Seconds between checkpoints.

    Raises:
        TurncoatError: if the environment asks for something that is no number.
    """
    named = os.environ.get(INTERVAL)
    if named is None:
        return CHECKPOINT
    try:
        return max(0.0, real(float(named), INTERVAL))
    except ValueError as error:
        raise TurncoatError(
            f"{INTERVAL} is {named!r}, but must be a number of seconds, such as 30"
        ) from error


def _silent(done: int, total: int) -> None:
    """Show nothing."""


@dataclasses.dataclass
class _Sweep:
    """One process's part in a sweep."""

    store: Store
    device: str
    interval: float
    progress: Progress
    done: int = 0
    total: int = 0
    trained: int = 0
    who: owners.Owner = dataclasses.field(default_factory=owners.owner)

    def run(self, plan: list[Planned]) -> int:
        """Train every stack of the plan or see another sweep train it; return the number of cells trained here."""
        self.total = sum(item.steps for item in plan)
        while plan:
            busy: list[Planned] = []
            for lanes, alike in itertools.groupby(plan, lambda item: item.lanes):
                side_by_side((self.settle(item, busy) for item in alike), self.device, lanes)
            if len(busy) == len(plan):
                time.sleep(POLL)
            plan = busy
        return self.trained

    def settle(self, item: Planned, busy: list[Planned]) -> Work:
        """Train a stack unless it is there; if another sweep is at it, add it to ``busy``."""
        name = item.stack.key
        if not leases.take(self.store, name, self.who):
            busy.append(item)
            return
        try:
            known = self.store.keys()
            if all(key(cell) in known for cell in item.stack.cells):
                self.count(item.steps)
                return
            with leases.beating(self.store.path, name, self.who):
                if not (yield from self.train(item)):
                    busy.append(item)
        finally:
            leases.release(self.store, name, self.who)

    def train(self, item: Planned) -> Generator[None, None, bool]:
        """Train a stack from its last checkpoint to its end; False if another sweep took it over meanwhile."""
        name = item.stack.key
        run = start(item.stack, self.device)
        saved = leases.checkpoint(self.store, name)
        taken = 0
        if saved is not None:
            arrays, taken = saved
            run.restore(arrays)
            self.count(taken)
        last = time.monotonic()
        for steps in run.advance():
            taken += steps
            self.count(steps)
            if time.monotonic() - last >= self.interval:
                if not leases.save(self.store, name, self.who, run.to_arrays(), taken):
                    self.count(-taken)
                    return False
                last = time.monotonic()
            yield
        leases.finish(self.store, name, self.who, self.rows(item.stack, run), environment(self.device))
        self.trained += len(item.stack.cells)
        self.count(item.steps - taken)  # what early stopping left out
        return True

    def count(self, steps: int) -> None:
        """Show that so many more replica-steps are done."""
        self.done += steps
        self.progress(self.done, self.total)

    def rows(self, stack: Stack, run: StackRun) -> list[tuple[str, Record]]:
        """What a finished stack adds to the store."""
        first = stack.cells[0]
        common = chance(run.task.y_test)
        step = stability(first.problem, first.fingerprint, first.recipe, self.device)
        return [
            (
                key(cell),
                Record(config(cell), np.ascontiguousarray(done.curves), common, _known(step), done.samples),
            )
            for cell, done in zip(stack.cells, finished(run), strict=True)
        ]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
