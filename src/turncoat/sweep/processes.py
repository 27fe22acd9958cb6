"""An executor of several processes on this machine, each with its share of the CPU's threads.

Small products gain little from a second thread, while two stacks side by side gain nearly all of a second core.
"""

import dataclasses
import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import connection

import torch

from turncoat.errors import TurncoatError
from turncoat.sweep.executor import Event, Job, Pace, bundles, described, here

PROGRESS = 0.5  # seconds between two words of how far a stack is


def processes(jobs: Iterable[Job], pace: Pace, count: int, threads: int = 1) -> Generator[Event, None, None]:
    """Train in up to ``count`` processes of so many threads; closing ends them at once.

    They start fresh: a script that asks for them guards its main part with ``if __name__ == "__main__"``.

    Raises:
        TurncoatError: if one of them ends before its work does; and whatever goes wrong in one of them.
    """
    pace = dataclasses.replace(pace, progress=PROGRESS)
    waiting = bundles(jobs)
    busy: dict[object, _Worker] = {}
    with ExitStack() as started:
        for _ in range(count):
            if bundle := next(waiting, None):
                worker = started.enter_context(_worker(threads))
                worker.submit(bundle, pace)
                busy[worker.line] = worker
        while busy:
            for line in connection.wait([worker.line for worker in busy.values()]):
                worker = busy[line]
                if (event := worker.hear()) is not None:
                    yield event
                elif bundle := next(waiting, None):
                    worker.submit(bundle, pace)
                else:
                    del busy[line]


@dataclasses.dataclass
class _Worker:
    """A pool of one process, and the line on which it tells what becomes of its bundle.

    A pipe of its own for each: one that is killed while it writes disturbs nobody else.
    """

    pool: ProcessPoolExecutor
    line: connection.Connection
    far: connection.Connection | None  # the process's end of the line, until it has it
    bundle: list[Job] = dataclasses.field(default_factory=list)
    result: Future[None] | None = None

    def submit(self, bundle: list[Job], pace: Pace) -> None:
        """Hand over a bundle."""
        self.bundle = bundle
        with self._alive(), _undisturbed():
            self.result = self.pool.submit(_train, bundle, pace)
        if self.far is not None:  # so that its end is heard when the process has gone
            self.far.close()
            self.far = None

    def hear(self) -> Event | None:
        """The next event, or None at the bundle's end.

        Raises:
            TurncoatError: if the process has gone; and whatever went wrong in it.
        """
        assert self.result is not None
        event: Event | None = None
        with suppress(EOFError, ConnectionError):
            event = self.line.recv()
        if event is None:
            with self._alive():
                self.result.result()
        return event

    @contextmanager
    def _alive(self) -> Iterator[None]:
        try:
            yield
        except BrokenProcessPool as error:
            raise TurncoatError(
                "a process of the sweep ended before its work: killed, out of memory, or begun by a script without"
                ' if __name__ == "__main__"; type the same command again to go on (it was training'
                f" {described(job.stack for job in self.bundle)})"
            ) from error


@contextmanager
def _worker(threads: int) -> Iterator[_Worker]:
    """A process that ends with this block, or with this process, however that goes."""
    fresh = multiprocessing.get_context("spawn")  # a fork would share CUDA's and OpenMP's state
    near, far = fresh.Pipe()
    with ProcessPoolExecutor(1, fresh, _begin, (far, threads)) as pool:
        try:
            yield _Worker(pool, near, far)
        finally:
            near.close()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Processes begun inside never see Ctrl-C: the first process does, and ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


_line: connection.Connection  # in a worker, to the process that began it


def _begin(line: connection.Connection, threads: int) -> None:
    global _line
    _line = line
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_the_line, daemon=True).start()


def _train(bundle: list[Job], pace: Pace) -> None:
    try:
        for event in here(bundle, pace):
            _line.send(event)
    finally:
        _line.send(None)


def _end_with_the_line() -> None:
    """End at once when nobody listens any more: the first process has closed the line, or is gone."""
    with suppress(EOFError, OSError):
        _line.recv()
    os._exit(1)
