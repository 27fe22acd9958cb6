"""An executor on a Ray cluster: stacks are plain tasks, and data go into its object store once.

Ray starts tasks, moves what they need and tell, and says when one is lost. A lost one is handed out again from the last
checkpoint that it told: nothing is trained otherwise for being trained twice.
"""

import dataclasses
import inspect
import itertools
import socket
import sys
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

import turncoat
from turncoat.data.dataset import Dataset
from turncoat.errors import TurncoatError, reason
from turncoat.sweep import ray_cluster
from turncoat.sweep.executor import Event, Job, Pace, bundles, described, here
from turncoat.sweep.prepared import checked, read
from turncoat.sweep.problem import Problem
from turncoat.sweep.unit import Checkpoint, Trained

PROGRESS = 1.0  # seconds between two words of how far a stack is
LOOK = 5.0  # seconds between two looks at how large the cluster is
LOSSES = 3  # of one bundle with nothing told between them, after which it is at fault itself


def on_ray(
    jobs: Iterable[Job], pace: Pace, device: str = "cpu", most: int | None = None, cpus: int | None = None
) -> Generator[Event, None, None]:
    """Train as tasks of the cluster, as many as it has room for; closing cancels them.

    A task has one CPU, and one thread; or there are ``most`` at once, each with its share of the cluster, or with
    ``cpus``.

    Raises:
        TurncoatError: if a task is lost again and again; and whatever goes wrong in one.
    """
    ray = ray_cluster.library()
    cpus = cpus or _share(ray, device, most)
    tasks = _Tasks(ray, dataclasses.replace(pace, progress=PROGRESS), cpus, int(device == "cuda"))
    waiting = bundles(jobs)
    room, looked = 0, -LOOK
    try:
        while True:
            if time.monotonic() - looked >= LOOK:
                room, looked = min(tasks.room(), most or sys.maxsize), time.monotonic()
            for bundle in itertools.islice(waiting, max(0, room - len(tasks.going))):
                tasks.begin({job.stack.key: job for job in bundle})
            if not tasks.going:
                return
            if (event := tasks.hear()) is not None:
                yield event
    finally:
        for task in tasks.going:
            with suppress(Exception):  # it may have ended, or its node
                ray.cancel(task, force=True)


@dataclasses.dataclass
class _Sent:
    """A bundle that is under way: what is left of it, with the last that it told; and its losses since."""

    left: dict[str, Job]
    losses: int = 0


@dataclasses.dataclass
class _Tasks:
    """The tasks under way, and what they share."""

    ray: Any
    pace: Pace
    cpus: int  # for each task: its threads
    gpus: int
    going: dict[Any, _Sent] = dataclasses.field(default_factory=dict)  # by the stream of its events
    data: dict[Problem, Any] = dataclasses.field(default_factory=dict)

    def room(self) -> int:
        """How many tasks to keep with Ray: as many again as run, so that none waits for us."""
        resources = self.ray.cluster_resources()
        slots = resources.get("GPU", 0) / self.gpus if self.gpus else resources.get("CPU", 0) / self.cpus
        return 2 * max(1, int(slots))

    def begin(self, left: dict[str, Job], losses: int = 0) -> None:
        """Hand out a bundle."""
        first = next(iter(left.values())).stack.cells[0]
        if first.problem not in self.data:  # the last one's stay as long as a task needs them
            self.data = {first.problem: self.ray.put(checked(first.problem, first.fingerprint, read))}
        task = self.ray.remote(
            num_cpus=self.cpus, num_gpus=self.gpus, num_returns="streaming", max_retries=0
        )(inspect.unwrap(_train))  # a generator by its looks too, whatever checks its arguments
        source = Fetched(self.data[first.problem])
        events = task.remote(
            list(left.values()), self.pace, self.cpus, source, turncoat.__version__, str(Path.cwd())
        )
        self.going[events] = _Sent(left, losses)

    def hear(self) -> Event | None:
        """The next event of any task; None where one has ended or was lost.

        Raises:
            TurncoatError: if a task is lost again and again; and whatever went wrong in it.
        """
        errors = self.ray.exceptions
        (events,), _ = self.ray.wait(list(self.going), num_returns=1)
        sent = self.going[events]
        try:
            name, told = self.ray.get(next(events))
        except StopIteration:
            del self.going[events]
            return None
        except errors.RayTaskError as error:
            raise error.cause from error
        except errors.RayError as error:
            del self.going[events]
            with suppress(Exception):
                self.ray.cancel(events, force=True)
            self.again(sent, error)
            return None
        if isinstance(told, Checkpoint):
            sent.left[name] = dataclasses.replace(sent.left[name], saved=told)
            sent.losses = 0
        elif isinstance(told, Trained):
            del sent.left[name]
            sent.losses = 0
        return name, told

    def again(self, sent: _Sent, error: Exception) -> None:
        """Hand out what a lost task has left, from where it last was.

        Raises:
            TurncoatError: if that was done before, and nothing came of it.
        """
        if sent.losses == LOSSES:
            raise TurncoatError(
                f"a worker was lost {LOSSES + 1} times ({reason(error)}) while training"
                f" {described(job.stack for job in sent.left.values())}"
            ) from error
        if sent.left:
            self.begin(sent.left, sent.losses + 1)


@dataclasses.dataclass(frozen=True)
class Fetched:
    """Data that lie in the object store."""

    reference: Any

    def __call__(self, problem: Problem) -> Dataset:
        """Bring them to this process."""
        found: Dataset = ray_cluster.library().get(self.reference)
        return found


def _train(
    bundle: list[Job], pace: Pace, threads: int, source: Fetched, version: str, folder: str
) -> Iterator[Event]:
    """What a task does, on its node."""
    if version != turncoat.__version__:
        raise TurncoatError(
            f"node {socket.gethostname()} has turncoat {turncoat.__version__}, but the sweep is of {version}:"
            " install the same on every node"
        )
    torch.set_num_threads(threads)
    if folder not in sys.path:  # where models of one's own are looked for
        sys.path.append(folder)
    yield from here(bundle, pace, source)


def _share(ray: Any, device: str, most: int | None) -> int:
    """CPUs of each task: a share of the cluster's that fits on every node, whatever is left to be trained."""
    if device == "cuda" or most is None:
        return 1
    nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    return max(1, min([sum(nodes) // most, *(cpus for cpus in nodes if cpus)]))
