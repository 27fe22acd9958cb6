"""How well does a sweep scale? Cells per second on one and two workers: in this process, in processes, on Ray.

    python benchmarks/scale.py [--json]

serial      in this process, on one thread: what the others are measured by
processes   one and two processes of one thread, as `--jobs` starts them
ray         one and two tasks at a time on a cluster of this machine's; left out where Ray is not installed
parent      what 1,000 cells cost the process that owns the store, with workers that take no time

All take turns, and ratios are taken within a turn, so that other work on the machine hits all of them alike; figures
are medians over the turns. The clock runs while all workers are at it: a sweep lasts hours, and its start seconds.
"""

import contextlib
import importlib.util
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from pathlib import Path

import torch

from told import options, tell
from turncoat.sweep import on_ray, processes
from turncoat.sweep.cells import config, key
from turncoat.sweep.executor import Event, Executor, Job, Pace, here
from turncoat.sweep.experiment import cells, experiment
from turncoat.sweep.frames import Record
from turncoat.sweep.runner import CHECKPOINT, Planned, Training, planned
from turncoat.sweep.store import open_store
from turncoat.sweep.unit import Trained, train_stack

TURNS = 3
STACKS = 4  # per run and worker
GRID = {"learning_rate": 0.2, "write_access": [0.2, 0.4, 0.6, 0.8], "local_budget": [0.25, 0.5, 1.0]}
SIZE = 1 + 2 * 4 * 3  # cells of a stack: the clean one, and every pair with two selections
EPOCHS = (
    100  # a stack takes seconds, as in sweeps; where it takes a third of one, Ray spends a fifth on the way
)
EMPTY = 1000 // SIZE  # stacks that make 1,000 cells
PACE = Pace(CHECKPOINT)
PROGRESS = (
    0.2  # seconds between two words of a worker: oftener than in a sweep, so that the clock's ends are sharp
)


def plan(stacks: int, epochs: int = EPOCHS) -> list[Planned]:
    """So many stacks, one a seed."""
    asked = experiment(GRID | {"seeds": stacks, "epochs": epochs})
    return list(planned(cells(asked), set(), "cpu"))


def run(items: list[Planned], executor: Executor) -> None:
    """What the owner of a store does with these stacks."""
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder, "s.db"), create=True) as store:
        Training(store, items, lambda done, total: None).by(executor)


def rate(executor: Executor, workers: int) -> float:
    """Cells per second, from when all workers have said something to when the first has nothing left to do."""
    items = plan(STACKS * workers)
    reached: dict[str, int] = {}
    marks: list[tuple[float, int]] = []

    def watched(jobs: Iterable[Job]) -> Generator[Event, None, None]:
        ended = 0
        for name, told in executor(jobs):
            steps = (
                items[0].steps if isinstance(told, Trained) else told if isinstance(told, int) else told.steps
            )
            reached[name] = steps
            ended += isinstance(told, Trained)
            if len(reached) >= workers and ended <= len(items) - workers + 1:
                marks.append((time.perf_counter(), sum(reached.values())))
            yield name, told

    run(items, watched)
    (begin, first), (end, last) = marks[0], marks[-1]
    return (last - first) / (items[0].steps / SIZE) / (end - begin)


def parent() -> float:
    """Seconds that the owner of the store takes for 1,000 cells of 200 epochs, their plan included."""
    (one,) = plan(1, epochs=200)
    *_, trained = train_stack(one.stack)
    assert isinstance(trained, Trained)
    curves = [(row.curves, row.chance, row.step_stability) for _, row in trained.rows]

    def nobody(jobs: Iterable[Job]) -> Generator[Event, None, None]:
        for job in jobs:
            rows = [
                (key(cell), Record(config(cell), *known))
                for cell, known in zip(job.stack.cells, curves, strict=True)
            ]
            yield job.stack.key, Trained(rows, trained.environment)

    begin = time.perf_counter()
    run(plan(EMPTY, epochs=200), nobody)
    return time.perf_counter() - begin


@contextlib.contextmanager
def contestants() -> Iterator[dict[str, Callable[[], float]]]:
    """Whoever is there, by name."""
    found: dict[str, Callable[[], float]] = {"serial": lambda: rate(partial(here, pace=PACE), 1)}
    for count in (1, 2):
        found[f"processes_{count}"] = partial(
            rate, partial(processes.processes, pace=PACE, count=count), count
        )
    if importlib.util.find_spec("ray") is None:
        yield found
        return
    import ray

    ray.init(address="local", num_cpus=2, log_to_driver=False, logging_level=logging.ERROR)
    for count in (1, 2):
        found[f"ray_{count}"] = partial(rate, partial(on_ray.on_ray, pace=PACE, most=count, cpus=1), count)
    try:
        yield found
    finally:
        ray.shutdown()


def measure() -> dict[str, float]:
    """All figures of this benchmark."""
    torch.set_num_threads(1)
    on_ray.PROGRESS = processes.PROGRESS = PROGRESS
    with contestants() as found:
        for execute in found.values():  # the first turn only warms up
            execute()
        turns = [{name: execute() for name, execute in found.items()} for _ in range(TURNS)]
    figures = {f"{name}_cells_per_second": statistics.median(t[name] for t in turns) for name in found}
    for name in ("processes", "ray"):
        if f"{name}_1" in found:
            figures[f"{name}_efficiency"] = statistics.median(
                t[f"{name}_2"] / t[f"{name}_1"] / 2 for t in turns
            )
            figures[f"{name}_overhead"] = statistics.median(t["serial"] / t[f"{name}_1"] for t in turns)
    figures["parent_seconds_per_1000_cells"] = statistics.median(parent() for _ in range(3))
    return figures


def main() -> None:
    as_json = options(__doc__).parse_args().json
    warnings.simplefilter("ignore", FutureWarning)  # Ray tells of its own future
    tell(measure(), as_json, f"digits, softmax regression, stacks of {SIZE} cells, {EPOCHS} epochs")


if __name__ == "__main__":
    main()
