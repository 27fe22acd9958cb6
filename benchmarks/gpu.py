"""How fast is a sweep on a GPU? The cells of B:fig9, with steps recorded as CUDA graphs and without.

    python benchmarks/gpu.py [--json] [--seeds 6] [--epochs 200] [--plain-epochs 2]

(a) recorded  the engine as it is: steps of a stack are one launch
(b) plain     the same engine, every kernel launched from Python

Wanted: B:fig9 (one scale, 6 seeds, 200 epochs) in under 60 s on an H100-class card. The data are random and of
MNIST's shape, for the speed does not depend on what is in them. Without a GPU nothing is measured, and it says so.
"""

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sweep import mnist_shaped
from turncoat.federation.setting import POOLED
from turncoat.federation.threats import tile_size
from turncoat.models import build
from turncoat.reproduce import plan
from turncoat.reproduce.artefacts import ARTEFACTS
from turncoat.sweep.cells import Cell
from turncoat.threat import CLEAN
from turncoat.training import replay
from turncoat.training.stack import Material, material, stack_run, tiles

WANTED = 60.0
ARTEFACT = "B:fig9"


def cells_by_seed(seeds: int, epochs: int) -> dict[int, list[Cell]]:
    """The cells of the artefact in one scale."""
    wanted = plan.Wanted(("unit",), seeds, epochs)
    found: dict[int, list[Cell]] = {}
    for cell in plan.cells(plan.planned(ARTEFACTS[ARTEFACT], wanted)):
        found.setdefault(cell.seed, []).append(cell)
    return found


def train(data: Material, cells: dict[int, list[Cell]], device: str) -> tuple[float, int]:
    """Seconds to train them all, evaluation and the attacker's turns included, and replica-steps taken."""
    taken = 0
    synchronize(device)
    begun = time.perf_counter()
    for seed, own in cells.items():
        threats = tuple(dict.fromkeys((CLEAN, *(cell.threat for cell in own))))
        for tile in tiles(threats, tile_size(data.model, POOLED, device)):
            taken += sum(stack_run(data, own[0].recipe, seed, tile).advance())
    synchronize(device)
    return time.perf_counter() - begun, taken


def synchronize(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


@contextmanager
def unrecorded() -> Iterator[None]:
    """Every kernel launched from Python."""
    kept, replay.suits = replay.suits, lambda task: False
    try:
        yield
    finally:
        replay.suits = kept


def measure(seeds: int, epochs: int, plain_epochs: int, device: str = "cuda") -> dict[str, object]:
    moved = mnist_shaped()
    data = material(build("logistic", moved), moved, device)
    train(data, cells_by_seed(1, 1), device)  # warms up
    with unrecorded():
        plain, plain_steps = train(data, cells_by_seed(1, plain_epochs), device)
    seconds, steps = train(data, cells_by_seed(seeds, epochs), device)
    rate, plain_rate = steps / seconds, plain_steps / plain
    return {
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else device,
        "torch": torch.__version__,
        "artefact": ARTEFACT,
        "seeds": seeds,
        "epochs": epochs,
        "seconds": seconds,
        "wanted_seconds": WANTED,
        "met": seconds < WANTED and seeds >= 6 and epochs >= 200,
        "replica_steps_per_second": rate,
        "plain_replica_steps_per_second": plain_rate,
        "speedup_of_recording": rate / plain_rate,
        "plain_epochs": plain_epochs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--plain-epochs", type=int, default=2, help="epochs of one seed without recordings")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        print(
            json.dumps({"skipped": "no CUDA device"})
            if given.json
            else "skipped: there is no CUDA device here"
        )
        return
    result = measure(given.seeds, given.epochs, given.plain_epochs)
    if given.json:
        print(json.dumps(result, indent=1))
        return
    for name, value in result.items():
        print(f"{name:32} {value:,.1f}" if isinstance(value, float) else f"{name:32} {value}")


if __name__ == "__main__":
    main()
