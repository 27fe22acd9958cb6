"""What does planning cost? A round of the search over a training in expectation, plans side by side, a whole plan.

    python benchmarks/plan.py [--json] [--grid]

round_over_rollout        one round of planning (labels, training in expectation, the way back, the next worths) over
                          the training in expectation alone; both on the same rows
plans_side_by_side_gain   the time of a round for one plan, over a plan's share of a round of 20 together
digits_…                  the same on the digits, k = 1 and b = 0.3, learning rate 0.2, 20 epochs
mnist_…                   on MNIST, k = 1 and b = 0.25, 60 epochs; with the seconds from start to the labels of all
                          rows in the first round and the peak memory of one whole plan in a process of its own

With --grid instead: grid_seconds and grid_peak_gib of planned flips in the place of each attack of B:fig9 (MNIST, unit
scale, 200 epochs, both goals), all of one seed together, from the starts to the policies. That takes minutes.

The sides of a ratio take turns, and it is the median over the turns, so that other work on the machine hits both
alike. MNIST's figures are left out where it can't be had: turncoat data fetch mnist.
"""

import dataclasses
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.progress import track

import turncoat
from told import options, peak_gib, tell
from turncoat import Recipe, Threat, TurncoatError, models
from turncoat.planning.course import Course, trajectory
from turncoat.planning.descent import Search, begin, labels_of, search
from turncoat.planning.planner import Planner
from turncoat.planning.reach import Reach
from turncoat.planning.scene import ROWS
from turncoat.reproduce import plan as reproduced
from turncoat.reproduce.artefacts import ARTEFACTS
from turncoat.training import planned
from turncoat.training.stack import material, stack_run

GRID = "B:fig9"
TOGETHER = 20
TURNS = 3
SETTINGS = {
    "digits": (Threat(1.0, 0.3, selection="planned"), Recipe(epochs=20, learning_rate=0.2)),
    "mnist": (Threat(1.0, 0.25, selection="planned"), Recipe(epochs=60)),
}


def planner(data: turncoat.Dataset, threat: Threat, recipe: Recipe) -> Planner:
    """As training makes it."""
    run = stack_run(material(models.build("logistic", data), data, "cpu"), recipe, 0, (threat,))
    (one,) = planned.planners(run.task)
    return one.planner


def begun(course: Course, reach: Reach) -> Search:
    """A search in the middle of its way, so that its ledger holds something."""
    classes = course.model.classes
    state = begin(course.x.new_zeros(classes, classes, len(reach.mass)), course)
    for _ in search(course, reach, state, 2):
        pass
    return state


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratios(one: Planner) -> dict[str, float]:
    """A round over its rollout, and one plan over one of many, turn by turn."""
    rows = one.scene.sample(ROWS)
    course, reach = one.view.course(rows), one.scene.reach(rows)
    wide = reach.times(TOGETHER)
    alone, together = begun(course, reach), begun(course, wide)
    soft = labels_of(course, reach, alone, alone.ledger.plan)
    over_rollout, gain, rounds = [], [], []
    for _ in range(TURNS):
        rollout = seconds(lambda: trajectory(course, soft))
        rounds.append(seconds(lambda: list(search(course, reach, alone, 1))))
        many = seconds(lambda: list(search(course, wide, together, 1)))
        over_rollout.append(rounds[-1] / rollout)
        gain.append(TOGETHER * rounds[-1] / many)
    return {
        "round_over_rollout": statistics.median(over_rollout),
        "plans_side_by_side_gain": statistics.median(gain),
        "round_seconds": statistics.median(rounds),
    }


def whole(name: str) -> tuple[float, float]:
    """Seconds of one plan from start to the labels of all rows, and the peak memory in GiB of this process."""
    threat, recipe = SETTINGS[name]
    data = turncoat.load(name)
    start = time.perf_counter()
    turncoat.plan(data, threat=threat, recipe=recipe).soft_labels(data.x, data.y)
    return time.perf_counter() - start, peak_gib()


def measure(name: str) -> dict[str, float]:
    """All figures of a data set; none where it can't be had."""
    try:
        data = turncoat.load(name)
    except TurncoatError as error:
        print(f"{name} is left out: {error}", file=sys.stderr)
        return {}
    figures = ratios(planner(data, *SETTINGS[name]))
    if name == "mnist":
        with multiprocessing.get_context("spawn").Pool(1) as own:
            figures["plan_seconds"], figures["plan_peak_gib"] = own.apply(whole, (name,))
    return {f"{name}_{figure}": value for figure, value in figures.items()}


def of_all() -> dict[str, float]:
    """The figures of every data set; the names without one stand for the larger that is there."""
    figures = {name: value for data in SETTINGS for name, value in measure(data).items()}
    largest = "mnist" if any(name.startswith("mnist_") for name in figures) else "digits"
    short = ("round_over_rollout", "plans_side_by_side_gain")
    return {
        "threads": torch.get_num_threads(),
        **{name: figures[f"{largest}_{name}"] for name in short},
        **figures,
    }


def grid() -> dict[str, float]:
    """Seconds and peak memory of planned flips in the place of each attack of a figure, all of one seed."""
    wanted = reproduced.planned(ARTEFACTS[GRID], reproduced.Wanted(("unit",), 1))
    cells = [cell for cell in reproduced.cells(wanted) if not cell.threat.is_clean]
    threats = tuple(dataclasses.replace(cell.threat, selection="planned") for cell in cells)
    data = turncoat.load("mnist")
    eaten = material(models.build("logistic", data), data, "cpu")
    quiet = not sys.stderr.isatty()
    start = time.perf_counter()
    for one in planned.planners(stack_run(eaten, cells[0].recipe, 0, threats).task):
        list(
            track(
                one.planner.advance(), total=one.planner.rounds, console=Console(stderr=True), disable=quiet
            )
        )
        one.planner.policy()
    return {
        "grid_plans": len(threats),
        "grid_seconds": time.perf_counter() - start,
        "grid_peak_gib": peak_gib(),
    }


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--grid", action="store_true", help="plan a whole figure in place of the ratios")
    given = parser.parse_args()
    try:
        figures = grid() if given.grid else of_all()
    except TurncoatError as error:
        parser.exit(2, f"{error}\n")
    tell(figures, given.json)


if __name__ == "__main__":
    main()
