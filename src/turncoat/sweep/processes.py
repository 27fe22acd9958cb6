"""A sweep in several processes that share one store.

Each trains stacks of its own on its share of the CPU's threads: small products gain little from a second thread,
while two stacks side by side gain nearly all of a second core.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import torch

PATIENCE = 5.0  # seconds that a helper gets to end by itself


@contextmanager
def helped(work: Callable[[], object], jobs: int) -> Iterator[None]:
    """While inside, ``jobs`` - 1 further processes do ``work`` too; this one keeps its share of threads.

    They start fresh: ``work`` must be picklable, and a script that asks for them guards its main part with
    ``if __name__ == "__main__"``.
    """
    threads = torch.get_num_threads()
    share = max(1, threads // jobs)
    fresh = multiprocessing.get_context("spawn")  # a fork would share CUDA's and OpenMP's state
    helpers = [fresh.Process(target=_help, args=(work, share), daemon=True) for _ in range(jobs - 1)]
    with _undisturbed():
        for helper in helpers:
            helper.start()
    torch.set_num_threads(share)
    try:
        yield
        for helper in helpers:
            helper.join(PATIENCE)
    finally:
        torch.set_num_threads(threads)
        for helper in helpers:
            helper.terminate()


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


def _help(work: Callable[[], object], threads: int) -> None:
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    # whatever goes wrong here goes wrong in the first process too, or it does what is left: it speaks for all
    with suppress(Exception):
        work()


def _end_with_the_first() -> None:
    """End this process at once when the first is gone, however it went: nobody else would stop a helper."""
    first = multiprocessing.parent_process()
    assert first is not None
    first.join()
    os._exit(1)  # what it holds is free as soon as its owner is dead
