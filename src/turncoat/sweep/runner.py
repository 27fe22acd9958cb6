"""Run an experiment to its end: whatever its cells lack in the store is trained, and nothing else."""

import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from functools import partial
from pathlib import Path

import torch

from turncoat.errors import TurncoatError, real, whole
from turncoat.federation.tiles import tile_size
from turncoat.models.stack import shapes
from turncoat.sweep import checkpoints
from turncoat.sweep.cells import Cell, key
from turncoat.sweep.executor import Executor, Job, Pace, here
from turncoat.sweep.experiment import Experiment, cells
from turncoat.sweep.lock import alone
from turncoat.sweep.on_ray import on_ray
from turncoat.sweep.prepared import prepared, read
from turncoat.sweep.processes import processes
from turncoat.sweep.ray_cluster import cluster
from turncoat.sweep.stacks import Stack, by_seed, stacks
from turncoat.sweep.store import Store, known_keys, open_store
from turncoat.sweep.unit import Checkpoint, Trained, start
from turncoat.training.lanes import lanes_for

CHECKPOINT = 30.0  # seconds between checkpoints: no more than that is lost when a sweep is killed
INTERVAL = "TURNCOAT_CHECKPOINT_SECONDS"  # sets another number

Progress = Callable[[int, int], None]  # replica-steps done, replica-steps in all
Tell = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Swept:
    """An experiment that is complete: its cells, and how many of them were trained just now."""

    cells: list[Cell]
    trained: int


@dataclasses.dataclass(frozen=True)
class Planned:
    """A stack, how many replica-steps it takes, and how many such stacks may train at once on a GPU."""

    stack: Stack
    steps: int
    lanes: int


def sweep(
    experiment: Experiment,
    path: str | Path,
    progress: Progress | None = None,
    jobs: int | None = None,
    tell: Tell | None = None,
    ray: str | None = None,
) -> Swept:
    """Train the cells that the store at ``path`` lacks; go on where an earlier sweep was cut off.

    With ``jobs`` above 1 so many processes train at once, as far as there are stacks for them. ``ray`` trains on a
    cluster: the one at this address, ``auto`` for the one that is there, ``any`` for one of this machine's cores where
    none is; ``jobs`` is then how many stacks at most. Where another sweep writes to the store, this one waits for its
    end, and trains what is then left. ``tell`` gets what should be said meanwhile, line by line.

    Raises:
        TurncoatError: for an experiment that can't be run, or a cluster that is not there, before the store is
            touched; a store that can't be written; and whatever goes wrong while a cell is trained.
    """
    jobs = None if jobs is None else whole(jobs, "jobs", least=1)
    file, tell = Path(path), tell or _silent
    wanted, known = cells(experiment), known_keys(file)
    ask = _Asked(jobs, ray, experiment.device, Pace(checkpoint_interval()))
    plan = list(planned(wanted, known, experiment.device, ask.at))
    if not plan:
        return Swept(wanted, 0)
    with ask.cluster(), alone(file, tell), open_store(file, create=True) as store:
        if (by_now := store.keys()) != known:
            plan = list(planned(wanted, by_now, experiment.device, ask.at))
        if not plan:
            return Swept(wanted, 0)
        train = Training(store, plan, progress or _silent)
        train.by(ask.executor(len(plan), tell))
    return Swept(wanted, train.trained)


def planned(wanted: list[Cell], known: set[str], device: str, at: str | None = None) -> Iterator[Planned]:
    """The stacks to be trained on ``device`` yet, those of one data set and model after one another.

    They are made ``at`` another device where that one is not at hand.
    """
    at = at or device
    order = {problem: i for i, problem in enumerate(dict.fromkeys(cell.problem for cell in wanted))}
    for alike in sorted(by_seed(wanted), key=lambda group: order[group[0].problem]):
        if all(key(cell) in known for cell in alike):
            continue
        model = prepared(alike[0].problem, alike[0].fingerprint, at, read).model
        tile = tile_size(model, alike[0].federation, device, alike[0].recipe.precision)
        for stack in stacks(alike, tile, known, shapes(model), device):
            yield Planned(stack, start(dataclasses.replace(stack, device=at)).steps(), lanes_for(model))


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


@dataclasses.dataclass(frozen=True)
class _Asked:
    """Where a sweep is to train."""

    jobs: int | None
    ray: str | None
    device: str
    pace: Pace

    @property
    def at(self) -> str:
        """The device of this process: a cluster's GPUs are elsewhere."""
        return self.device if self.ray is None else "cpu"

    def cluster(self) -> AbstractContextManager[None]:
        """The connection to the cluster, if one was asked for."""
        return nullcontext() if self.ray is None else cluster(self.ray, self.device)

    def executor(self, stacks: int, tell: Tell) -> Executor:
        """Who trains, as far as there is work."""
        count = self.jobs or 1
        if count > stacks:
            tell(f"jobs is {count}, but there is work for {stacks}: {stacks} start")
        if self.ray is None and count == 1:
            return partial(here, pace=self.pace)
        prepared.cache_clear()  # those who train hold the data; this process needs them no more
        if self.ray is None:
            # as asked, not as started: sums end in other last bits with other threads, and a sweep may go on
            threads = max(1, torch.get_num_threads() // count)
            return partial(processes, pace=self.pace, count=min(count, stacks), threads=threads)
        return partial(on_ray, pace=self.pace, device=self.device, most=self.jobs)


def _silent(*_: object) -> None:
    """Show nothing."""


@dataclasses.dataclass
class Training:
    """What the one that owns the store does: it hands out stacks, and writes what becomes of them."""

    store: Store
    plan: list[Planned]
    progress: Progress
    trained: int = 0
    done: int = 0  # replica-steps of all stacks
    reached: dict[str, int] = dataclasses.field(default_factory=dict)  # and of each

    def __post_init__(self) -> None:
        self.steps = {item.stack.key: item.steps for item in self.plan}
        self.total = sum(self.steps.values())

    def by(self, executor: Executor) -> None:
        """Have the whole plan trained."""
        with closing(executor(self.jobs())) as events:
            for name, told in events:
                self.take(name, told)

    def jobs(self) -> Iterator[Job]:
        """The plan's stacks, each from its last checkpoint."""
        for item, name in zip(self.plan, self.steps, strict=True):
            saved = checkpoints.load(self.store, name)
            if saved is not None:
                self.show(name, saved.steps)
            yield Job(item.stack, item.lanes, saved)

    def take(self, name: str, told: int | Checkpoint | Trained) -> None:
        """Write what was told of a stack, and show how far all of them are."""
        if isinstance(told, int):
            self.show(name, told)
        elif isinstance(told, Checkpoint):
            checkpoints.save(self.store, name, told)
            self.show(name, told.steps)
        else:
            checkpoints.finish(self.store, name, told)
            self.trained += len(told.rows)
            self.show(name, self.steps[name])  # with what early stopping left out

    def show(self, name: str, steps: int) -> None:
        """Show how far all stacks are, now that this one has taken so many replica-steps."""
        self.done += steps - self.reached.get(name, 0)
        self.reached[name] = steps
        self.progress(self.done, self.total)
