"""Executors: they take stacks as they have room for them, and tell what becomes of them as it comes.

An executor is a function from jobs to events. It asks for the next job when it can begin it, so that few states are
held at once; closing it cancels what is under way. This module has the plainest, in this process; ``processes`` and
``on_ray`` hand jobs to others, who train them by this one.
"""

import dataclasses
import itertools
import time
from collections.abc import Callable, Generator, Iterable, Iterator

from turncoat.errors import TurncoatError
from turncoat.sweep.cells import canonical, config
from turncoat.sweep.prepared import Source, read
from turncoat.sweep.stacks import Stack
from turncoat.sweep.unit import Checkpoint, Trained, train_stack
from turncoat.training.lanes import in_turn

Event = tuple[str, int | Checkpoint | Trained]
"""A stack's key, and: the replica-steps it has taken, what it can go on from, or what it ended with."""


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """A stack to train, how many like it may train side by side on a GPU, and where it goes on from."""

    stack: Stack
    lanes: int
    saved: Checkpoint | None = None


Executor = Callable[[Iterable[Job]], Generator[Event, None, None]]


@dataclasses.dataclass(frozen=True)
class Pace:
    """Seconds between two checkpoints of a stack, and between two words of how far it is."""

    checkpoints: float
    progress: float = 0.0


def here(jobs: Iterable[Job], pace: Pace, source: Source = read) -> Generator[Event, None, None]:
    """Train in this process: one stack after another, on a GPU several side by side."""
    for (device, lanes), alike in itertools.groupby(jobs, lambda job: (job.stack.device, job.lanes)):
        for event in in_turn((_told(job, pace, source) for job in alike), device, lanes):
            if event is not None:
                yield event


def bundles(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    """Jobs as they are handed to workers: one at a time, or as many as a GPU trains side by side.

    Those of a bundle learn from the same data. Jobs are asked for as bundles are.
    """
    for (device, lanes, _), alike in itertools.groupby(jobs, _kind):
        size = lanes if device.startswith("cuda") else 1
        while bundle := list(itertools.islice(alike, size)):
            yield bundle


def described(stacks: Iterable[Stack]) -> str:
    """Names the cells of stacks in one line, for errors."""
    cells = [cell for stack in stacks for cell in stack.cells]
    more = f" and {len(cells) - 1} more cells of its stack" if len(cells) > 1 else ""
    return f"the cell {canonical(config(cells[-1]))}{more}"


def _kind(job: Job) -> tuple[str, int, object]:
    first = job.stack.cells[0]
    return job.stack.device, job.lanes, (first.problem, first.fingerprint)


def _told(job: Job, pace: Pace, source: Source) -> Generator[Event | None, None, None]:
    """A stack's events, at their pace, with a turn after every step; its errors say which cells they are of."""
    name = job.stack.key
    saved = told = time.monotonic()
    try:
        for moment in train_stack(job.stack, job.saved, source):
            now = time.monotonic()
            if isinstance(moment, Trained):
                yield name, moment
            elif now - saved >= pace.checkpoints:
                saved = told = now
                yield name, moment.checkpoint()
            elif now - told >= pace.progress:
                told = now
                yield name, moment.steps
            else:
                yield None
    except TurncoatError as error:
        raise TurncoatError(f"{error} (while training {described([job.stack])})") from error
    except Exception as error:
        error.add_note(f"while training {described([job.stack])}")
        raise
