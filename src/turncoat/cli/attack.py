"""``turncoat attack``: one threat against its clean twin, with random flips of the same budget beside."""

from typing import TYPE_CHECKING, Any

import click

from turncoat.cli import early, options
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
  turncoat attack --workers 10 --hostile 3 --aggregator nnm+trimmed_mean --learning-rate 0.2
  turncoat attack --workers 10 --hostile 3 --selection little_is_enough --aggregator krum

\b
The papers' main experiments use --scale raw, where their step is far beyond the stable one.
"""


@click.command(epilog=EXAMPLES)
@options.settings
@options.seeds
@options.device
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option("--quiet", "-q", is_flag=True, help="No progress bar; the table and its warnings alone.")
@options.in_typed_words
def attack(as_json: bool, quiet: bool, **values: Any) -> None:
    """Attack one model: clean training, the threat, and random flips of the same budget."""
    early.refuse(options.given(values))
    from turncoat.analysis.train import train
    from turncoat.cli import comparison
    from turncoat.sweep import experiment
    from turncoat.sweep.cells import random_twin
    from turncoat.sweep.prepared import read

    asked = experiment.experiment({"selection": "optimal"} | options.given(values))
    cell = next((c for c in experiment.cells(asked) if not c.threat.is_clean), None)
    if cell is None:
        raise TurncoatError(early.nobody(options.given(values)))
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
        click.echo(comparison.as_json(compared, asked, dataset))
    else:
        comparison.show(compared, dataset, quiet)


def refuse_idle(cell: "Cell", dataset: "Dataset") -> None:
    """Refuse a threat that can never flip a label.

    Raises:
        TurncoatError: says |K|, p and what to raise.
    """
    from turncoat.federation.attacks import GRADIENT_ATTACKS
    from turncoat.training.idle import reach

    if cell.threat.selection in GRADIENT_ATTACKS:
        return
    here = reach(cell.threat, cell.recipe, cell.federation, dataset.y, cell.seed, dataset.holder)
    short = here.shortage
    if short:
        raise TurncoatError(short)
