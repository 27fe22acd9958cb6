"""``turncoat report``: a sweep as one page."""

from pathlib import Path

import click

from turncoat.cli import options
from turncoat.cli.progress import bar
from turncoat.errors import TurncoatError
from turncoat.sweep.opening import refuse_unreadable
from turncoat.writing import is_shown

EXAMPLES = """
\b
Examples:
  turncoat report --store results.db -o report.html
  turncoat report --store results.db -o report.md

\b
The page is one file that works offline; the same figures stand beside it as .json.
"""


@click.command(epilog=EXAMPLES)
@options.store
@click.option(
    "-o", "--output", default="report.html", show_default=True, metavar="FILE", help="Where to: .html or .md."
)
@options.quiet
def report(store: str, output: str, quiet: bool) -> None:
    """Write the page of a sweep: tables to sort and filter, and every picture that the store can give."""
    refuse_unreadable(store)
    from turncoat.report.of_store import of_store
    from turncoat.report.saving import places, save
    from turncoat.sweep.store import open_store

    path = Path(output)
    places(path)
    with open_store(store) as opened:
        curves, summary, messages = opened.curves(), opened.summary(), opened.visibility()
    if summary.empty:
        raise TurncoatError(
            f"{store}: the store has no cells yet; fill it with: turncoat sweep --store {store}"
        )
    with bar("drawing", quiet, "") as progress:
        made = of_store(Path(store).name, curves, summary, messages, progress)
    files = save(made, path)
    if not quiet and not is_shown(path):
        for file in files:
            click.echo(str(file))
