"""What ``turncoat attack`` shows beside the attack that was asked for: stronger ones, as far as they cost little."""

import dataclasses

from turncoat.attack.names import PLANNED
from turncoat.data.dataset import Dataset
from turncoat.defence import guards
from turncoat.federation.threats import why_unplanned
from turncoat.planning.price import times_the_training
from turncoat.sweep.cells import Cell, normalised, random_twin
from turncoat.training.idle import idle_fields

OPTIMAL = "optimal"
AFFINE = "logistic"  # the model that is planned in its leading directions
MOST = 1.0  # times as long as the training that planning may take without being asked for


@dataclasses.dataclass(frozen=True)
class Others:
    """Further attacks on the same setting, and a line on planned flips where they are not among them."""

    cells: tuple[Cell, ...]
    unplanned: str = ""


def others(cell: Cell, dataset: Dataset) -> Others:
    """The optimal flips of each round, unless they are the attack themselves, and planned ones where cheap."""
    optimal, planned = (_twin(cell, rule) for rule in (OPTIMAL, PLANNED))
    knowing = dataclasses.replace(planned.threat, aware=True)
    if "aware" not in idle_fields(
        knowing, cell.recipe, cell.federation
    ):  # no rule is praised for being unknown
        planned = normalised(dataclasses.replace(planned, threat=knowing))
    cells = [] if cell == optimal else [optimal]
    if guards(cell.recipe.defence) and optimal.threat.schedule != "once":
        # no defence is praised for being unknown
        both = (dataclasses.replace(optimal.threat, aware=aware) for aware in (False, True))
        cells = [
            c for c in (normalised(dataclasses.replace(cell, threat=threat)) for threat in both) if c != cell
        ]
    if cell == planned or why_unplanned(cell.threat, cell.recipe):
        return Others(tuple(cells))
    times = price(planned, dataset, len({None, cell, random_twin(cell), *cells}))
    if times <= MOST:
        return Others((*cells, planned))
    aware = " --aware" if planned.threat.aware else ""
    return Others(
        tuple(cells),
        "planned flips, which look ahead over the whole training, are not among these: --selection"
        f" {PLANNED}{aware} or --strongest plans them, in about {_rounded(times)} times as long as this training",
    )


def price(cell: Cell, dataset: Dataset, models: int) -> float:
    """How many times as long planning takes as training so many models."""
    rows = len(dataset.y)
    size = cell.federation.workers or 1
    batches = -(-rows // (cell.recipe.batch_size * size))
    linear = cell.problem.model == AFFINE
    goal, workers = cell.threat.goal, cell.federation.workers
    return times_the_training(rows, batches, cell.recipe, models, goal, linear, workers)


def _twin(cell: Cell, rule: str) -> Cell:
    return normalised(dataclasses.replace(cell, threat=dataclasses.replace(cell.threat, selection=rule)))


def _rounded(times: float) -> str:
    return f"{times:.1f}" if times < 10 else f"{times:.2g}" if times < 100 else f"{float(f'{times:.2g}'):.0f}"
