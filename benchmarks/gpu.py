"""How fast is a sweep on a GPU? The cells of B:fig9, with recorded steps and seeds side by side, and without.

    python benchmarks/gpu.py [--json] [--seeds 6] [--epochs 200] [--short-epochs 10]

(a) engine       as it is: many steps are one launch, and all seeds train at the same time
(b) one by one   the same, one seed after the other
(c) plain        one seed after the other, every kernel launched from Python

Wanted: B:fig9 (one scale, 6 seeds, 200 epochs) in under 60 s on an H100-class card. The data are random and of
MNIST's shape, for the speed does not depend on what is in them; training and evaluation are timed, not loading and
storing. Without a GPU nothing is measured, and it says so.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sweep import mnist_shaped
from told import options, tell
from turncoat.federation.federation import POOLED
from turncoat.federation.tiles import tile_size
from turncoat.models import build
from turncoat.reproduce import plan
from turncoat.reproduce.artefacts import ARTEFACTS
from turncoat.sweep.cells import Cell
from turncoat.threat import CLEAN
from turncoat.training import lanes, replay
from turncoat.training.stack import Material, StackRun, material, stack_run, tiles

WANTED = 60.0
ARTEFACT = "B:fig9"


def cells_by_seed(seeds: int, epochs: int) -> dict[int, list[Cell]]:
    """The cells of the artefact in one scale."""
    wanted = plan.Wanted(("unit",), seeds, epochs)
    found: dict[int, list[Cell]] = {}
    for cell in plan.cells(plan.planned(ARTEFACTS[ARTEFACT], wanted)):
        found.setdefault(cell.seed, []).append(cell)
    return found


def train(
    data: Material, cells: dict[int, list[Cell]], device: str, at_once: int = lanes.LANES
) -> tuple[float, int]:
    """Seconds to train them all, evaluation and the attacker's turns included, and replica-steps taken."""
    taken = 0

    def trained(stack: StackRun) -> lanes.Work:
        nonlocal taken
        for steps in stack.advance():
            taken += steps
            yield

    stacks = []
    for seed, own in cells.items():
        threats = tuple(dict.fromkeys((CLEAN, *(cell.threat for cell in own))))
        for tile in tiles(threats, tile_size(data.model, POOLED, device)):
            stacks.append(stack_run(data, own[0].recipe, seed, tile))
    synchronize(device)
    begun = time.perf_counter()
    lanes.side_by_side(map(trained, stacks), device, at_once)
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


def measure(seeds: int, epochs: int, short: int, device: str = "cuda") -> dict[str, object]:
    moved = mnist_shaped()
    data = material(build("logistic", moved), moved, device)
    train(data, cells_by_seed(seeds, 1), device)  # warms up

    def rate(at_once: int) -> float:
        seconds, steps = train(data, cells_by_seed(seeds, short), device, at_once)
        return steps / seconds

    one_by_one, side_by_side = rate(1), rate(lanes.LANES)
    with unrecorded():
        plain = rate(1)
    seconds, steps = train(data, cells_by_seed(seeds, epochs), device)
    return {
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else device,
        "torch": torch.__version__,
        "artefact": ARTEFACT,
        "seeds": seeds,
        "epochs": epochs,
        "seconds": seconds,
        "wanted_seconds": WANTED,
        "met": seconds < WANTED and seeds >= 6 and epochs >= 200,
        "replica_steps_per_second": steps / seconds,
        "short_epochs": short,
        "speedup_of_recording": one_by_one / plain,
        "speedup_of_lanes": side_by_side / one_by_one,
    }


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--short-epochs", type=int, default=10, help="epochs of the comparisons")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        tell({"skipped": "no CUDA device"}, given.json)
        return
    tell(measure(given.seeds, given.epochs, given.short_epochs), given.json)


if __name__ == "__main__":
    main()
