"""``turncoat reproduce``: the papers' figures, tables and claims."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from turncoat.cli import judge, options
from turncoat.cli.asked import asking, made, refuse_file, refuse_idle, typed, wish
from turncoat.cli.progress import bar, say
from turncoat.cli.suggest import Suggesting
from turncoat.errors import TurncoatError
from turncoat.precision import FLOAT32
from turncoat.reproduce import artefacts
from turncoat.writing import write_whole

if TYPE_CHECKING:
    from turncoat.reproduce.artefacts import Artefact
    from turncoat.reproduce.evidence import Evidence
    from turncoat.reproduce.plan import Wanted
    from turncoat.sweep.experiment import Experiment

EXAMPLES = """
\b
Examples:
  turncoat reproduce --list
  turncoat reproduce B:fig5 B:fig8 --quick -o out/
  turncoat reproduce B --scale unit --seeds 6 --store results.db -o out/
  turncoat reproduce B:fig9 --scale unit --precision bfloat16 -o out/
  turncoat reproduce extract --store results.db -o results/
  turncoat reproduce claims --from results/

\b
What one artefact has trained no other trains again; a stopped command goes on when typed again.
"""
MAKE = "make"


class Fallback(Suggesting):
    """A group whose command ``make`` may be left out: artefacts can be named at once."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``make`` first unless another command is named."""
        if not args or (args[0] not in self.commands and args[0] not in ("-h", "--help")):
            args = [MAKE, *args]
        return super().parse_args(ctx, args)


@click.group(cls=Fallback, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
def reproduce() -> None:
    """Make the papers' figures and tables again, by name; NAME... is short for `make NAME...`."""


@reproduce.command(MAKE)
@click.argument("names", nargs=-1, metavar="NAME...")
@asking
@click.option("-o", "--output", default="reproduced", show_default=True, metavar="FOLDER", help="Where to.")
@click.option(
    "--format",
    "formats",
    type=click.Choice(["png", "svg", "pdf"]),
    multiple=True,
    help="Write pictures in this format alone; may be repeated.  [default: all three]",
)
@click.option("--list", "listed", is_flag=True, help="Show the artefacts and how long they take here.")
@click.option("--no-training", is_flag=True, help="Draw from what the store has, and train nothing.")
@click.option("--device", default=None, help="Where to train: cpu or cuda.  [default: cpu]")
@options.jobs
@options.quiet
@options.in_typed_words
def make(
    names: tuple[str, ...],
    output: str,
    formats: tuple[str, ...],
    listed: bool,
    no_training: bool,
    device: str | None,
    jobs: int | None,
    quiet: bool,
    store: str,
    extract: str | None,
    **asked: Any,
) -> None:
    """Train what the artefacts NAME... need and the store lacks, then draw them (A, B, all: many)."""
    named = artefacts.chosen(names or ("all",) * listed)
    wanted = wish(asked, device)
    if listed:
        show_list(wanted, named)
        return
    from turncoat.report import saving
    from turncoat.reproduce import gallery, pictures, plan

    chosen = {artefact: plan.planned(artefact, wanted) for artefact in named}
    refuse_misfits(chosen, wanted, names)
    refuse_file(output)
    shared = None
    if extract is not None or no_training:
        refuse_idle("--from" if extract is not None else "--no-training")
        shared, known = judge.holdings(store, extract)
        chosen = {artefact: plan.as_measured(artefact, wanted, known) for artefact in chosen}
    else:
        for artefact in (a for a in chosen if a.name in names):  # known before hours of training
            pictures.refuse_one_seed(artefact, chosen[artefact][0])
        train([one for experiments in chosen.values() for one in experiments], store, quiet, jobs)
    measured = {}
    for artefact, experiments in chosen.items():
        found = shared or read(store, experiments, artefact)
        retype = typed(asked) + f" --store {store}" if artefact.name in names else None
        measured[artefact] = measured_of(artefact, experiments, found, retype)
    folder = made(output)  # nothing is written before all that was named is known to be there
    endings = [f".{name}" for name in formats] or list(pictures.ENDINGS)
    for artefact, parts in measured.items():
        drawn = draw(artefact, parts, folder, wanted.quick, endings)
        if not quiet:
            why = plan.misfit(artefact, wanted.precision) or "nothing measured"
            click.echo(f"{artefact.name}: {drawn or f'{why}, nothing drawn'}")
    index = folder / gallery.INDEX
    write_whole(index, lambda path: path.write_text(gallery.page(folder), encoding="utf-8"))
    page = folder / gallery.PAGE
    saving.save(gallery.report(folder), page)
    if not quiet:
        click.echo(f"all of this folder on one page: {page} (as text: {index})")


def refuse_misfits(
    chosen: "dict[Artefact, list[Experiment]]", wanted: "Wanted", names: tuple[str, ...]
) -> None:
    """Refuse a scale that an artefact named by the user does not have, and a precision that it is not made in.

    Raises:
        TurncoatError: if nothing is left of the artefact.
    """
    from turncoat.reproduce import plan

    for artefact, experiments in chosen.items():
        if not experiments and artefact.name in names:
            if why := plan.misfit(artefact, wanted.precision):
                raise TurncoatError(
                    f"{artefact.name}: precision is {wanted.precision!r}, but {why}: leave precision out, or name"
                    " other artefacts"
                )
            raise TurncoatError(
                f"{artefact.name} has no scale {' or '.join(wanted.scales)}: leave --scale out, or name another"
            )


def train(experiments: "list[Experiment]", store: str, quiet: bool, jobs: int | None) -> None:
    """Train whatever the store lacks of the experiments."""
    import torch

    from turncoat.models import products
    from turncoat.reproduce import plan
    from turncoat.sweep import runner

    missing = plan.incomplete(experiments, Path(store))
    plan.refuse_absent(missing)
    for one in missing:
        products.refuse(one.axes.get("precision", (FLOAT32,))[0], torch.device(one.device))
    parts = plan.merged(missing)
    for number, one in enumerate(parts, 1):
        title = "training" if len(parts) == 1 else f"training, part {number} of {len(parts)}"
        with bar(title, quiet) as report:
            runner.sweep(one, store, report, jobs, say)


def read(store: str, experiments: "list[Experiment]", artefact: "Artefact") -> "Evidence":
    """What a store knows of these experiments' cells."""
    from turncoat.reproduce import evidence, plan

    cells = plan.cells(experiments)
    return evidence.from_store(store, cells, cells if artefact.figure == "epochs" else ())


def measured_of(
    artefact: "Artefact", experiments: "list[Experiment]", evidence: "Evidence", retype: str | None
) -> "list[tuple[Experiment, Evidence]]":
    """The scales of an artefact that were measured. ``retype`` are the options of one that the user named.

    Raises:
        TurncoatError: if the user named the artefact, and nothing of it was measured.
    """
    from turncoat.reproduce import pictures
    from turncoat.sweep import experiment

    parts = [(one, evidence.of(experiment.cells(one))) for one in experiments]
    measured = [(one, own) for one, own in parts if pictures.is_measured(artefact, own)]
    if retype is not None and not measured:
        pictures.refuse_unmeasured(artefact, *parts[0], retype)
    return measured


def draw(
    artefact: "Artefact",
    measured: "list[tuple[Experiment, Evidence]]",
    folder: Path,
    quick: bool,
    endings: list[str],
) -> str:
    """Write the files of every scale that was measured; where they are, and the scales."""
    from turncoat.reproduce import pictures

    for one, own in measured:
        pictures.make(artefact, one, own, folder, quick, endings)
    scales = ", ".join(one.axes["scale"][0] for one, _ in measured)
    return f"{folder / artefact.stem}-* ({scales})" if measured else ""


def show_list(wanted: "Wanted", chosen: "list[Artefact]") -> None:
    """Print the artefacts with their data, model, cells and estimated time."""
    from turncoat.attack.names import is_planned
    from turncoat.cli.show import Column, console, print_table
    from turncoat.reproduce import duration, plan

    columns = [Column("artefact"), *(Column(name, "prose") for name in ("paper", "shows", "data", "model"))]
    columns += [Column(name, "figure") for name in ("cells", "time here")]
    rows = []
    speed = duration.speed()
    seen: set[Any] = set()
    total = 0.0
    for artefact in chosen:
        if plan.misfit(artefact, wanted.precision):
            continue
        experiments = plan.planned(artefact, wanted)
        cells = plan.cells(experiments)
        data, models = (
            ", ".join(sorted({v for e in experiments for v in e.axes[k]})) for k in ("dataset", "model")
        )
        took = duration.seconds(cells, speed)
        total += duration.seconds([cell for cell in cells if cell not in seen], speed)
        seen.update(cells)
        shown = (artefact.name, artefact.paper, artefact.title, data, models)
        rows.append([*shown, str(len(cells)), duration.spoken(took)])
    print_table(columns, rows)
    console().print(
        f"{len(seen)} cells in all, for many are shared: {duration.spoken(total)} on this machine's CPU"
        f"{', beside the search for plans' * any(is_planned(c.threat.selection) for c in seen)}; --seeds, --epochs,"
        " --scale and --quick cut down"
    )
    if left := [artefact.name for artefact in chosen if plan.misfit(artefact, wanted.precision)]:
        console().print(f"not made in {wanted.precision}: {', '.join(left)}, for they train in float32 alone")


for command in (judge.claims_, judge.extract_):
    reproduce.add_command(command)
