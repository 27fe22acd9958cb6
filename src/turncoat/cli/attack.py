"""``turncoat attack``: one threat against its clean twin, with random flips of the same budget beside."""

import dataclasses
import warnings
from typing import TYPE_CHECKING, Any

import click

from turncoat.cli import early, options
from turncoat.cli.progress import bar
from turncoat.errors import EvaluationModeWarning, TurncoatError

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
  turncoat attack --write-access 1 --budget 0.3 --learning-rate 0.2 --epochs 20 --strongest
  turncoat attack --workers 10 --hostile 3 --aggregator nnm+trimmed_mean --learning-rate 0.2
  turncoat attack --workers 10 --hostile 3 --selection little_is_enough --aggregator krum

\b
The papers' main experiments use --scale raw, where their step is far beyond the stable one.
"""
ACCESS = 0.25  # of the strongest attacker, unless another is typed


@click.command(epilog=EXAMPLES)
@options.settings
@click.option(
    "--strongest",
    is_flag=True,
    help="Every rule and goal that the threat admits side by side, planned ones too; the one that harms most on"
    " training data is named. --goal leaves one goal; without --write-access it is 0.25.",
)
@options.seeds
@options.device
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option("--quiet", "-q", is_flag=True, help="No progress bar; the table and its warnings alone.")
@options.in_typed_words
def attack(strongest: bool, as_json: bool, quiet: bool, **values: Any) -> None:
    """Attack one model: clean training, the threat, and random flips of the same budget.

    Beside another selection stands the one that is optimal in each round, and beside both the planned flips where
    planning costs no more than the training.
    """
    if strongest and values["write_access"] is None and not values["workers"]:
        values["write_access"] = ACCESS
    early.refuse(options.given(values) | {"strongest": strongest})
    from turncoat.analysis.train import train
    from turncoat.cli import beside, comparison
    from turncoat.sweep import experiment
    from turncoat.sweep.cells import random_twin
    from turncoat.sweep.prepared import read

    usual = {"selection": "strongest" if strongest else "optimal"}
    asked = experiment.experiment(usual | options.given(values))
    attacks = [c for c in experiment.cells(asked) if not c.threat.is_clean and c.seed == asked.seeds[0]]
    if not attacks:
        raise TurncoatError(early.nobody(options.given(values)))
    dataset = read(attacks[0].problem)
    for cell in attacks:
        refuse_idle(cell, dataset)
    cell, random = attacks[0], random_twin(attacks[0])
    others = beside.others(cell, dataset) if len(attacks) == 1 else beside.Others(())
    threats = dict.fromkeys(one.threat for one in (*attacks, random, *others.cells))
    with bar("training", quiet or as_json) as report, warnings.catch_warnings():
        warnings.simplefilter("ignore", EvaluationModeWarning)  # the table says so
        results = train(
            dataset,
            cell.problem.model,
            threats=tuple(threats),
            seeds=asked.seeds,
            recipe=cell.recipe,
            device=asked.device,
            federation=cell.federation,
            progress=report,
        )
    if results.setting.in_training:  # no plan is made of such a model
        others = dataclasses.replace(others, unplanned="")
    compared = comparison.compared(results, attacks, random, others)
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
    from turncoat.training.reach import reach

    if cell.threat.selection in GRADIENT_ATTACKS:
        return
    here = reach(cell.threat, cell.recipe, cell.federation, dataset.y, cell.seed, dataset.holder)
    short = here.shortage
    if short:
        raise TurncoatError(short)
