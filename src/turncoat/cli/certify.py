"""``turncoat certify``: the accuracy that flips fixed before training can't push a learner below."""

import json
from typing import TYPE_CHECKING, Any

import click

from turncoat.cli import options
from turncoat.cli.progress import bar
from turncoat.sweep.problem import Problem

if TYPE_CHECKING:
    from turncoat.certificates.certificate import Certificate

EXAMPLES = """
\b
Examples:
  turncoat certify
  turncoat certify --dataset mnist --scale unit --partitions 1000 --json
  turncoat certify --dataset mine.csv --label species --method run_off
  turncoat certify --method smoothing --noise 0.2

\b
A certificate holds for flips that are fixed before training, whoever chooses them and however.
"""


@click.command(epilog=EXAMPLES)
@options.described(Problem)
@click.option(
    "--method",
    default="partitions",
    show_default=True,
    help="partitions, finite_aggregation, run_off or smoothing.",
)
@click.option("--partitions", type=int, help="Models that vote.  [default: one for every 3 rows per class]")
@click.option("--features", help="given or anchors.  [default: anchors for images, else given]")
@click.option("--spread", type=int, help="Parts that a model reads, with finite_aggregation.  [default: 4]")
@click.option("--noise", type=float, help="Share of labels redrawn, with smoothing.  [default: 0.3]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the models and of the anchors.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@options.quiet
def certify(as_json: bool, quiet: bool, **values: Any) -> None:
    """Certify predictions: what accuracy no flips of so many training labels can push a learner below."""
    from turncoat.certificates.certify import certify as certified
    from turncoat.sweep.prepared import read

    given = options.given(values)
    fields = set(Problem.__dataclass_fields__)
    problem = Problem(**{name: value for name, value in given.items() if name in fields})
    rest = {name: value for name, value in given.items() if name not in fields}
    with bar("certifying", quiet or as_json) as report:
        found = certified(read(problem), problem.model, progress=report, **rest)
    if as_json:
        click.echo(json.dumps(told(found), indent=2))
    elif not quiet:
        show(found)


def told(found: "Certificate") -> dict[str, Any]:
    """One object: the accuracies, and every test example's prediction and radius."""
    about = ("dataset", "scale", "model", "method", "features", "partitions", "clean_accuracy")
    return {
        **{name: getattr(found, name) for name in about},
        "certified_accuracy": {str(flips): value for flips, value in found.certified_accuracy.items()},
        "prediction": found.prediction.tolist(),
        "radius": found.radius.tolist(),
    }


def show(found: "Certificate") -> None:
    """Print the table."""
    from turncoat.cli.show import Column, console, print_table

    voting = f"{found.partitions} models vote" if found.partitions else "no vote"
    console().print(
        f"{found.dataset} ({found.scale}), {found.model} on features {found.features}, {found.method}: {voting}"
    )
    most = int(found.radius.max())
    rows = [
        [str(flips), f"{value:.3f}"] for flips, value in found.certified_accuracy.items() if flips <= most
    ]
    print_table([Column("flips", "figure"), Column("certified accuracy", "figure")], rows)
    console().print(
        f"no prediction is certified beyond {most} flips; each holds for flips that are fixed before training"
    )
