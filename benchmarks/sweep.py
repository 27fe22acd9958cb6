"""How fast is a sweep? Softmax regression on MNIST-shaped data, 100 cells, batch 64, side by side in one run.

    python benchmarks/sweep.py [--json]

(a) loop     the loop a researcher would write in plain PyTorch, one cell at a time
(b) turncoat the engine's own steps: a stack of cells, each with its own labels
(c) products the two matrix products of a step alone, of all pixels, in their fastest layout
    used     the same of the pixels that are ever used: the ceiling
(d) low      the engine's steps with precision "bfloat16", where the processor has such products

They take turns, and each figure is the median over the turns, so that other work on the machine hits all
of them alike. A replica-step is one mini-batch step of one cell.
"""

import argparse
import dataclasses
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import torch

from told import options, peak_gib, tell
from turncoat.data.dataset import Dataset
from turncoat.federation.federation import POOLED
from turncoat.federation.tiles import tile_size
from turncoat.models import build
from turncoat.models import products as of_a_step
from turncoat.recipe import Recipe
from turncoat.threat import CLEAN, Threat
from turncoat.training.loop import advance, begin_epoch
from turncoat.training.pooled import attacked_step, plain_step
from turncoat.training.stack import material, stack_run, tiles
from turncoat.training.task import RunState, Task, start

CELLS, EXAMPLES, TESTS, PIXELS, CLASSES, BATCH = 100, 60_000, 10_000, 784, 10, 64
UNUSED = 65  # pixels that are 0 in every image of MNIST, which the engine leaves out
TURNS, STEPS = 9, 40


def mnist_shaped() -> Dataset:
    """Random pixels in MNIST's shape, and 0 where all of MNIST's images are: else speed does not depend on them."""
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(EXAMPLES, PIXELS, generator=draw)
    x[:, torch.randperm(PIXELS, generator=draw)[:UNUSED]] = 0
    y = torch.randint(CLASSES, (EXAMPLES,), generator=draw)
    return Dataset("random", x, y, x[:TESTS].clone(), y[:TESTS].clone(), CLASSES, (1, 28, 28), "unit")


def plain_loop(data: Dataset) -> Callable[[], int]:
    """nn.Linear, autograd, optim.SGD, batches by index, no DataLoader; one call takes STEPS steps of one cell."""
    net = torch.nn.Linear(PIXELS, CLASSES)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001)
    loss = torch.nn.CrossEntropyLoss()
    order = torch.randperm(EXAMPLES)

    def steps() -> int:
        for i in range(STEPS):
            rows = order[i * BATCH : (i + 1) * BATCH]
            optimizer.zero_grad()
            loss(net(data.x[rows]), data.y[rows]).backward()
            optimizer.step()
        return STEPS

    return steps


def stacks(data: Dataset, precision: str = "float32") -> list[tuple[Task, Task]]:
    """The stacks that the engine makes of 100 attacked cells, and the same without an attacker."""
    made = material(build("logistic", data), data, "cpu")
    cells = (Threat(write_access=0.25),) * CELLS
    recipe = Recipe(epochs=1, precision=precision)
    size = tile_size(made.model, POOLED, "cpu", precision)
    attacked = [stack_run(made, recipe, 0, tile).task for tile in tiles(cells, size)]
    return [(task, dataclasses.replace(task, threats=(CLEAN,) * len(task.threats))) for task in attacked]


def engine(data: Dataset, precision: str = "float32") -> Callable[[], int]:
    """One call takes STEPS steps of every cell."""
    runs = [(advance(honest, start(honest)), len(honest.threats)) for _, honest in stacks(data, precision)]

    def steps() -> int:
        for run, replicas in runs:
            taken = 0
            while taken < STEPS * replicas:  # of all turns together less than an epoch
                taken += next(run)
        return STEPS * CELLS

    return steps


def products(replicas: int, pixels: int = PIXELS) -> Callable[[], int]:
    """x·W and W += xᵀ·G alone, for stacks of the engine's size, with everything else left out."""
    weight = torch.zeros(pixels + 1, CLASSES * replicas)
    x, residual = torch.rand(BATCH, pixels + 1), torch.randn(BATCH, CLASSES * replicas) * 1e-6
    out = torch.empty(BATCH, CLASSES * replicas)

    def steps() -> int:
        for _ in range(STEPS * CELLS // replicas):
            torch.mm(x, weight, out=out)
            weight.addmm_(x.T, residual, alpha=-1e-3)
        return STEPS * CELLS

    return steps


def take_turns(contestants: dict[str, Callable[[], int]]) -> Iterator[dict[str, float]]:
    """Replica-steps per second of each, turn by turn; the first turn only warms up."""
    for turn in range(TURNS + 1):
        rates = {}
        for name, steps in contestants.items():
            begin = time.perf_counter()
            count = steps()
            rates[name] = count / (time.perf_counter() - begin)
        if turn:
            yield rates


def step_round_over_step(data: Dataset, placement: str) -> float:
    """Time of the attackers' turn in a step with schedule "step" over the time of the step itself, on one stack."""
    made = material(build("logistic", data), data, "cpu")
    cells = (Threat(write_access=0.25, schedule="step", placement=placement),) * made.model.tile
    attacked = stack_run(made, Recipe(epochs=1), 0, cells).task
    order = torch.randperm(EXAMPLES)

    def steps_of(task: Task, take: Callable[[Task, RunState, torch.Tensor], None]) -> Callable[[], int]:
        state = start(task)
        begin_epoch(task, state)

        def steps() -> int:
            for i in range(STEPS):
                take(task, state, order[i * BATCH : (i + 1) * BATCH])
            return STEPS * len(cells)

        return steps

    honest = dataclasses.replace(attacked, threats=(CLEAN,) * len(cells))
    both = {"with": steps_of(attacked, attacked_step), "without": steps_of(honest, plain_step)}
    return statistics.median(t["without"] / t["with"] - 1 for t in take_turns(both))


def attack_over_epoch(data: Dataset) -> float:
    """Time of one attack round on 100 cells at k = 0.25, b = 1 over the time of their honest epoch.

    The epoch is the engine's own: all mini-batches, then accuracy, macro F1 and loss on the test data.
    """
    shares = []
    for turn in range(3):
        pairs = [(attacked, honest, start(honest)) for attacked, honest in stacks(data)]
        begin = time.perf_counter()
        for _, honest, state in pairs:
            for _ in advance(honest, state):
                pass
        middle = time.perf_counter()
        for attacked, _, state in pairs:
            state.epoch = 0  # a round at trained parameters: the attacker's usual view
            begin_epoch(attacked, state)
        if turn:
            shares.append((time.perf_counter() - middle) / (middle - begin))
    return statistics.median(shares)


def peak_memory() -> float:
    """GiB at the peak of a process of its own that trains a 100-cell sweep on this data for one epoch."""
    text = subprocess.run(
        [sys.executable, __file__, "--peak"], check=True, capture_output=True, text=True
    ).stdout
    return float(text)


def train_for_peak() -> None:
    """Train 99 attacked cells and the clean one for one epoch and print this process's peak, in GiB."""
    from turncoat.analysis.train import train

    shares = [(i + 1) / 33 for i in range(33)]
    threats = [Threat(write_access=k, local_budget=b) for k in shares for b in (0.1, 0.5, 1.0)]
    train(mnist_shaped(), threats=threats, seeds=[0], recipe=Recipe(epochs=1))
    print(peak_gib())


def measure() -> dict[str, float]:
    """All figures of this benchmark."""
    peak = peak_memory()  # while this process is small: one that it starts is told to peak where this one has
    data = mnist_shaped()
    contestants = {
        "loop": plain_loop(data),
        "turncoat": engine(data),
        "products": products(len(stacks(data)[0][0].threats)),
        "used": products(len(stacks(data)[0][0].threats), PIXELS - UNUSED),
    }
    low = of_a_step.has_bfloat16(torch.device("cpu"))
    if low:
        contestants["low"] = engine(data, "bfloat16")
    turns = list(take_turns(contestants))
    rates = {f"{name}_per_second": statistics.median(t[name] for t in turns) for name in contestants}
    return rates | {
        "speedup_over_loop": statistics.median(t["turncoat"] / t["loop"] for t in turns),
        "share_of_matmul_speed": statistics.median(t["turncoat"] / t["products"] for t in turns),
        "share_of_used_matmul_speed": statistics.median(t["turncoat"] / t["used"] for t in turns),
        **({"bf16_over_f32": statistics.median(t["low"] / t["turncoat"] for t in turns)} if low else {}),
        "step_round_over_step": step_round_over_step(data, "resampled"),
        "step_round_over_step_fixed": step_round_over_step(data, "fixed"),
        "attack_over_epoch": attack_over_epoch(data),
        "peak_gib": peak,
    }


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        train_for_peak()
        return
    head = f"softmax regression, {EXAMPLES} x {PIXELS}, {CELLS} cells, batch {BATCH}"
    tell(measure(), arguments.json, head)


if __name__ == "__main__":
    main()
