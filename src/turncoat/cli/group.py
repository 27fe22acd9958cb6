"""The command ``turncoat`` and its subcommands."""

import click

import turncoat as package
from turncoat.cli.attack import attack
from turncoat.cli.audit import audit
from turncoat.cli.certify import certify
from turncoat.cli.data import data
from turncoat.cli.figure import figure
from turncoat.cli.report import report
from turncoat.cli.reproduce import reproduce
from turncoat.cli.results import results
from turncoat.cli.suggest import Suggesting
from turncoat.cli.sweep import sweep

EXAMPLES = """
\b
Examples:
  turncoat attack --write-access 0.5 --budget 0.5 --learning-rate 0.2 --epochs 30
  turncoat certify --dataset mnist
  turncoat sweep
  turncoat figure heatmap -o harm.png
  turncoat data fetch mnist
"""


@click.group(cls=Suggesting, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package.__version__, prog_name="turncoat", message="%(prog)s %(version)s")
def turncoat() -> None:
    """How much harm can label flips alone do to a model's training, and what stops them?"""


for command in (audit, attack, certify, sweep, results, figure, report, data, reproduce):
    turncoat.add_command(command)
