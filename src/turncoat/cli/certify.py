"""``turncoat certify``: the accuracy that flips fixed before training can't push a learner below."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from turncoat.cli import options
from turncoat.cli.progress import bar
from turncoat.sweep.problem import Problem
from turncoat.writing import check_picture, is_shown

if TYPE_CHECKING:
    from pathlib import Path

    from turncoat.certificates.certificate import Certificate
    from turncoat.data.dataset import Dataset

Reached = dict[str, dict[int, float]]  # accuracy by who is attacked, and by flips

EXAMPLES = """
\b
Examples:
  turncoat certify -o certificate.png
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
@click.option("-o", "--output", metavar="FILE", help="Draw it beside what attacks reach: .png, .svg or .pdf.")
@options.quiet
def certify(as_json: bool, output: str | None, quiet: bool, **values: Any) -> None:
    """Certify predictions: what accuracy no flips of so many training labels can push a learner below."""
    from turncoat.certificates.certify import certify as certified
    from turncoat.sweep.prepared import read

    path = None if output is None else check_picture(output)
    given = options.given(values)
    fields = set(Problem.__dataclass_fields__)
    problem = Problem(**{name: value for name, value in given.items() if name in fields})
    rest = {name: value for name, value in given.items() if name not in fields}
    dataset = read(problem)
    with bar("certifying", quiet or as_json) as report:
        found = certified(dataset, problem.model, progress=report, **rest)
    reached = {} if path is None else attack(dataset, found, rest)
    if path is not None:
        draw(found, reached, path)
    if path is not None and is_shown(path):
        return
    if as_json:
        click.echo(json.dumps(told(found, reached), indent=2))
    elif not quiet:
        show(found, reached)


def attack(dataset: "Dataset", found: "Certificate", asked: Mapping[str, Any]) -> Reached:
    """What attacks reach, by who is attacked."""
    from turncoat.figures.certificate import attacked_too

    both = attacked_too(dataset, found, asked.get("partitions"), asked.get("spread"), asked.get("seed", 0))
    votes = {} if both.attacked is None else {"attacked": dict(both.attacked)}
    return votes | {"undefended": dict(both.undefended)}


def draw(found: "Certificate", reached: Reached, path: "Path") -> None:
    """Write the picture."""
    from turncoat.figures import files
    from turncoat.figures.certificate import Reached, certificate

    files.save(certificate(Reached(found, reached.get("attacked"), reached["undefended"])), path)


def told(found: "Certificate", reached: Reached) -> dict[str, Any]:
    """One object: the accuracies, and every test example's prediction and radius."""
    about = ("dataset", "scale", "model", "method", "features", "partitions", "clean_accuracy")
    return {
        **{name: getattr(found, name) for name in about},
        "certified_accuracy": {str(flips): value for flips, value in found.certified_accuracy.items()},
        **{f"{who}_accuracy": {str(f): value for f, value in by.items()} for who, by in reached.items()},
        "prediction": found.prediction.tolist(),
        "radius": found.radius.tolist(),
    }


def show(found: "Certificate", reached: Reached) -> None:
    """Print the table."""
    from turncoat.cli.show import Column, console, print_table

    voting = f"{found.partitions} models vote" if found.partitions else "no vote"
    console().print(
        f"{found.dataset} ({found.scale}), {found.model} on features {found.features}, {found.method}: {voting}"
    )
    most = int(found.radius.max())
    told = [flips for flips in found.certified_accuracy if flips <= most]
    flips = sorted({*told, *(f for by in reached.values() for f in by)})
    rows = [
        [
            str(f),
            f"{found.accuracy_under(f):.3f}",
            *(f"{by[f]:.3f}" if f in by else "" for by in reached.values()),
        ]
        for f in flips
    ]
    print_table([Column(name, "figure") for name in ("flips", "certified accuracy", *reached)], rows)
    console().print(
        f"no prediction is certified beyond {most} flips; each holds for flips that are fixed before training"
    )
