"""How long an artefact takes here: stored rates, scaled by how fast this machine multiplies matrices."""

import math
import time
from collections.abc import Iterable

import torch

from turncoat.precision import FLOAT32
from turncoat.sweep.cells import Cell

EXAMPLES = {"digits": 1437, "mnist-01": 12_665, "mnist": 60_000, "cifar10": 50_000, "cifar100": 50_000}
# replica-steps a second and core, measured with one thread; a federation's step is a round of ten workers
RATES = {
    ("digits", "logistic", False): 55000.0,
    ("mnist-01", "logistic", False): 79000.0,
    ("mnist", "logistic", False): 9800.0,
    ("mnist", "mlp", False): 2500.0,
    ("cifar10", "logistic", False): 3200.0,
    ("cifar10", "mlp", False): 670.0,
    ("cifar100", "logistic", False): 980.0,
    ("cifar100", "mlp", False): 690.0,
    ("mnist", "logistic", True): 470.0,
    ("mnist", "mlp", True): 120.0,
    ("cifar10", "mlp", True): 36.0,
}
# how many times as many in bfloat16, on a core that has such products
GAINS = {
    ("mnist-01", "logistic"): 1.2,
    ("mnist", "logistic"): 1.5,
    ("mnist", "mlp"): 1.8,
    ("cifar10", "logistic"): 2.1,
    ("cifar10", "mlp"): 2.1,
    ("cifar100", "logistic"): 1.6,
    ("cifar10", "vit"): 1.7,
}
USUAL_GAIN = 1.5
USUAL = 100.0
REFERENCE = 0.010  # seconds that ``probe`` took with one thread where the rates were measured


def seconds(cells: Iterable[Cell], speed: float) -> float:
    """Time that training these cells takes on the CPU; the search for plans is not counted."""
    total = 0.0
    for cell in cells:
        kind = (cell.problem.dataset, cell.problem.model)
        rate = RATES.get((*kind, bool(cell.federation.workers)), USUAL)
        rate *= 1.0 if cell.recipe.precision == FLOAT32 else GAINS.get(kind, USUAL_GAIN)
        total += steps(cell) / rate
    return total / speed


def steps(cell: Cell) -> int:
    """Steps, or a federation's rounds, of one run."""
    batch = cell.recipe.batch_size * max(1, cell.federation.workers) * cell.federation.local_steps
    return cell.recipe.epochs * math.ceil(EXAMPLES.get(cell.problem.dataset, 0) / batch)


def probe() -> float:
    """Seconds that one matrix product of the size of a step takes here, the best of a few."""
    a, b = torch.ones(640, 785), torch.ones(785, 1000)
    times = []
    for _ in range(7):
        begun = time.perf_counter()
        torch.mm(a, b)
        times.append(time.perf_counter() - begun)
    return min(times)


def speed() -> float:
    """How many times faster than the reference this machine multiplies, with all its threads."""
    return REFERENCE / probe()


def spoken(duration: float) -> str:
    """A duration in words."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if duration >= size:
            return f"{duration / size:.1f} {unit}"
    return f"{duration:.0f} s" if duration >= 1 or not duration else "< 1 s"
