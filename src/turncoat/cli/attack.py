"""``turncoat attack``: one threat against its clean twin, with random flips of the same budget beside."""

import math
from typing import TYPE_CHECKING, Any

import click

from turncoat.cli import options
from turncoat.cli.progress import bar
from turncoat.errors import TurncoatError

if TYPE_CHECKING:
    from turncoat.data.dataset import Dataset
    from turncoat.sweep.cells import Cell

EXAMPLES = """
\b
Examples:
  turncoat attack --write-access 0.5 --budget 0.5 --learning-rate 0.2 --epochs 30
  turncoat attack --dataset mnist --write-access 1 --budget 0.25 --epochs 60 --seeds 1 --json
  turncoat attack --dataset mnist-01 --scale raw --write-access 0.25 --seeds 0,3,5
  turncoat attack --dataset mine.csv --label species --write-access 0.3 --goal targeted
  turncoat attack --workers 10 --hostile 3 --aggregator nnm+trimmed_mean --learning-rate 0.2 --epochs 30
  turncoat attack --workers 10 --hostile 3 --selection little_is_enough --aggregator krum

\b
The papers' main experiments use --scale raw, where their step is far beyond the stable one.
"""


@click.command(epilog=EXAMPLES)
@options.settings
@options.seeds
@options.device
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@options.quiet
def attack(as_json: bool, quiet: bool, **values: Any) -> None:
    """Attack one model: clean training, the threat, and random flips of the same budget."""
    from turncoat.analysis.train import train
    from turncoat.cli import comparison
    from turncoat.sweep import experiment
    from turncoat.sweep.cells import random_twin
    from turncoat.sweep.prepared import read

    asked = experiment.experiment({"selection": "optimal"} | options.given(values))
    cell = next((c for c in experiment.cells(asked) if not c.threat.is_clean), None)
    if cell is None:
        raise TurncoatError(_nobody(options.given(values)))
    dataset = read(cell.problem)
    refuse_idle(cell, dataset)
    random = random_twin(cell)
    with bar("training", quiet or as_json) as report:
        results = train(
            dataset,
            cell.problem.model,
            threats=(cell.threat, random.threat),
            seeds=asked.seeds,
            recipe=cell.recipe,
            device=asked.device,
            federation=cell.federation,
            progress=report,
        )
    compared = comparison.Comparison(results, cell, random)
    if as_json:
        click.echo(comparison.as_json(compared, asked))
    elif not quiet:
        comparison.show(compared)


def _nobody(given: dict[str, Any]) -> str:
    if given.get("workers"):
        return "no worker is hostile, so nothing is attacked; type for example --hostile 2"
    return "write_access is 0, so nothing is attacked; type for example --write-access 0.25"


def refuse_idle(cell: "Cell", dataset: "Dataset") -> None:
    """Refuse a threat that can never flip a label.

    Raises:
        TurncoatError: says |K|, p and what to raise.
    """
    from turncoat.federation.attacks import GRADIENT_ATTACKS

    if cell.federation.workers:
        if cell.threat.selection not in GRADIENT_ATTACKS:
            _refuse_idle_workers(cell, dataset)
        return
    threat, recipe, n = cell.threat, cell.recipe, dataset.n
    if recipe.patience:
        n -= max(1, int(recipe.held_out * n))
    rows, what = n, "examples"
    if threat.schedule == "step":
        rows, what = min(recipe.batch_size, n), "examples of a batch"
    writable = threat.writable(rows)
    if threat.schedule == "step" and threat.placement == "fixed":
        writable = min(rows, threat.writable(n))  # its own examples may all come in one batch
    if threat.allowance(writable):
        return
    share, budget = options.flag("write_access"), options.flag("local_budget")
    if threat.local_budget == 0:
        advice = f"set {budget} above 0"
    else:
        least = math.ceil(round(1 / threat.local_budget, 9))
        advice = f"raise {share} to at least {_up(least / rows)}"
        if writable:
            advice += f", or {budget} to at least {_up(1 / writable)}"
    raise TurncoatError(
        f"this threat can never flip a label: of {rows} {what} it may write to |K| = {writable} and flip p = 0; "
        f"{advice}"
    )


def _refuse_idle_workers(cell: "Cell", dataset: "Dataset") -> None:
    """Every hostile worker has a budget of its own: floor(b·size) of its shard, or of its batch."""
    from turncoat.federation.partition import deal
    from turncoat.randomness import generator

    federation, threat = cell.federation, cell.threat
    shards = deal(dataset.y, federation.workers, federation.partition, generator(cell.seed, "partition"))
    size, what = max(len(shard) for shard in shards[: federation.hostile]), "examples"
    if threat.schedule == "step":
        size, what = cell.recipe.batch_size * federation.local_steps, "examples of a batch"
    if threat.allowance(size):
        return
    raise TurncoatError(
        f"this threat can never flip a label: of a hostile worker's {size} {what} it may flip p = 0; "
        f"raise {options.flag('local_budget')} to at least {_up(1 / size)}"
    )


def _up(value: float) -> str:
    """Rounded up to three digits, so that what is typed suffices."""
    digits = 2 - math.floor(math.log10(value))
    return f"{math.ceil(round(value * 10**digits, 6)) / 10**digits:g}"
