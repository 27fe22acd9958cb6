"""``turncoat audit``: what wrong labels could do to a model that learns from one's own data, as a page."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from turncoat.cli.show import console, fitted
from turncoat.writing import is_shown, refuse_places, write_whole

EXAMPLES = """
\b
Examples:
  turncoat audit biopsies.csv --label diagnosis -o audit.html
  turncoat audit patients.csv --label outcome --owner clinic --quick -o audit.html
  turncoat audit patients.csv --label outcome --costs costs.csv --rows check.csv

\b
The page is one file that works offline; the same figures stand beside it as .json.
Ctrl-C leaves a page of the sections that are done.
"""
STOPPED = 130


@click.command(epilog=EXAMPLES)
@click.argument("data")
@click.option("--label", help="Label column of a table.")
@click.option("--model", default="logistic", show_default=True, help="What is trained.")
@click.option("--owner", help="Column that says who labelled or sent a row; it is no feature.")
@click.option("--costs", metavar="FILE.csv", help="Costs: a row per true class, a column per predicted one.")
@click.option(
    "--rows",
    metavar="FILE.csv",
    help="Write the rows to check: those that look wrong, those that would harm.",
)
@click.option("--scale", help="raw, unit or standard.  [default: the better of standard and unit]")
@click.option(
    "--learning-rate", type=float, help="Step size.  [default: the best of those sure to be stable]"
)
@click.option("--drop", multiple=True, help="Columns to leave out: NAME or NAME,NAME; may be repeated.")
@click.option("--group", help="Column whose equal rows stay on one side of the split, such as a patient.")
@click.option("--test-share", type=float, default=0.2, show_default=True, help="Share held out for testing.")
@click.option(
    "--quick", is_flag=True, help="Half a minute in place of minutes: fewer seeds, epochs and shares."
)
@click.option(
    "-o", "--output", default="audit.html", show_default=True, metavar="FILE", help="Where to: .html or .md."
)
@click.option("--quiet", "-q", is_flag=True, help="No progress and no summary.")
def audit(data: str, rows: str | None, output: str, quiet: bool, drop: tuple[str, ...], **asked: Any) -> None:
    """Audit DATA, a table of one's own or a named data set: harm of wrong labels, whom it hits, whether it is seen."""
    from turncoat.auditing.audit import Asked, Found, finished, sections
    from turncoat.report.saving import places, save
    from turncoat.report.terminal import as_lines

    path = Path(output)
    check = None if rows is None else Path(rows)
    read = [Path(file) for file in (data, asked["costs"]) if file is not None]
    refuse_places([*places(path), *([check] if check else [])], read)
    wanted = Asked(data, drop=",".join(drop) or None, **asked)
    found: list[Found] = []
    complete = True
    with _telling(quiet) as told:
        try:
            found.extend(sections(wanted, told))
        except KeyboardInterrupt:
            complete = False
    if not found:
        click.echo("turncoat: stopped before the first section was done; nothing is written", err=True)
        click.get_current_context().exit(STOPPED)
    made = finished(wanted, found, complete)
    files = save(made.report, path)
    if check is not None and made.rows is not None:
        write_whole(check, functools.partial(made.rows.to_csv, index=False))
        files = (*files, check)
    if not quiet and not any(map(is_shown, files)):
        width = console().width if fitted() else 100
        click.echo(as_lines(made.report, width, details=False))
        click.echo("")
        for file in files:
            click.echo(str(file))
    if not complete:
        click.get_current_context().exit(STOPPED)


@contextmanager
def _telling(quiet: bool) -> Iterator[Callable[[str, float], None]]:
    """What the audit reports to: a line on the error stream that says what is being done."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda what, share: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda what, share: progress.update(task, description=what, completed=share)
