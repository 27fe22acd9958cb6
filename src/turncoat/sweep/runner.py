"""Run an experiment to its end: whatever its cells lack in the store is trained, and nothing else."""

import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from turncoat.errors import TurncoatError, real, whole
from turncoat.federation.threats import tile_size
from turncoat.models.stack import shapes
from turncoat.sweep import checkpoints
from turncoat.sweep.cells import Cell, key
from turncoat.sweep.executor import Executor, Job, Pace, here
from turncoat.sweep.experiment import Experiment, cells
from turncoat.sweep.lock import alone
from turncoat.sweep.prepared import prepared
from turncoat.sweep.processes import processes
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
    jobs: int = 1,
    tell: Tell | None = None,
) -> Swept:
    """Train the cells that the store at ``path`` lacks; go on where an earlier sweep was cut off.

    With ``jobs`` above 1 so many processes train at once, as far as there are stacks for them. Where another sweep
    writes to the store, this one waits for its end, and trains what is then left. ``tell`` gets what should be said
    meanwhile, line by line.

    Raises:
        TurncoatError: for an experiment that can't be run, before the store is touched; a store that can't be
            written; and whatever goes wrong while a cell is trained.
    """
    jobs = whole(jobs, "jobs", least=1)
    tell = tell or _silent
    file, pace = Path(path), Pace(checkpoint_interval())
    wanted, known = cells(experiment), known_keys(file)
    plan = list(planned(wanted, known, experiment.device))
    if not plan:
        return Swept(wanted, 0)
    with alone(file, tell), open_store(file, create=True) as store:
        if (by_now := store.keys()) != known:
            plan = list(planned(wanted, by_now, experiment.device))
        train = _Training(store, {item.stack.key: item for item in plan}, progress or _silent)
        train.by(_executor(jobs, len(plan), pace, tell))
    return Swept(wanted, train.trained)


def planned(wanted: list[Cell], known: set[str], device: str) -> Iterator[Planned]:
    """The stacks that are still to be trained, those of one data set and model after one another."""
    order = {problem: i for i, problem in enumerate(dict.fromkeys(cell.problem for cell in wanted))}
    for alike in sorted(by_seed(wanted), key=lambda group: order[group[0].problem]):
        if all(key(cell) in known for cell in alike):
            continue
        model = prepared(alike[0].problem, alike[0].fingerprint, device).model
        tile = tile_size(model, alike[0].federation, device)
        for stack in stacks(alike, tile, known, shapes(model), device):
            yield Planned(stack, start(stack).steps(), lanes_for(model))


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


def _executor(jobs: int, stacks: int, pace: Pace, tell: Tell) -> Executor:
    """Who trains, as far as there is work."""
    if jobs > stacks:
        tell(f"jobs is {jobs}, but there is work for {stacks}: {stacks} start")
        jobs = stacks
    if jobs <= 1:
        return partial(here, pace=pace)
    prepared.cache_clear()  # each process holds the data; this one needs them no more
    return partial(processes, pace=pace, count=jobs)


def _silent(*_: object) -> None:
    """Show nothing."""


@dataclasses.dataclass
class _Training:
    """What the one that owns the store does: it hands out stacks, and writes what becomes of them."""

    store: Store
    plan: dict[str, Planned]
    progress: Progress
    trained: int = 0
    done: int = 0  # replica-steps of all stacks
    reached: dict[str, int] = dataclasses.field(default_factory=dict)  # and of each

    def __post_init__(self) -> None:
        self.total = sum(item.steps for item in self.plan.values())

    def by(self, executor: Executor) -> None:
        """Have the whole plan trained."""
        with closing(executor(self.jobs())) as events:
            for name, told in events:
                self.take(name, told)

    def jobs(self) -> Iterator[Job]:
        """The plan's stacks, each from its last checkpoint."""
        for name, item in self.plan.items():
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
            self.show(name, self.plan[name].steps)  # with what early stopping left out

    def show(self, name: str, steps: int) -> None:
        """Show how far all stacks are, now that this one has taken so many replica-steps."""
        self.done += steps - self.reached.get(name, 0)
        self.reached[name] = steps
        self.progress(self.done, self.total)
