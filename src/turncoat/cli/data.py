"""``turncoat data``: which named data sets there are, and their official files."""

import click

from turncoat.cli.suggest import Suggesting
from turncoat.errors import TurncoatError

EXAMPLES = """
\b
Examples:
  turncoat data list
  turncoat data fetch mnist cifar10
  turncoat data verify mnist

\b
Files lie in the folder that TURNCOAT_DATA names, else in the user's cache folder.
"""


@click.group(cls=Suggesting, epilog=EXAMPLES)
def data() -> None:
    """List, fetch and verify named data sets."""


@data.command("list")
def list_() -> None:
    """Show the named data sets and which of their files are here."""
    from turncoat.cli.show import Column, print_table
    from turncoat.data import status

    columns = [
        Column("data set"),
        Column("files", "figure"),
        Column("MiB", "figure"),
        Column("state"),
        Column("folder"),
    ]
    rows = []
    for row in status():
        files = f"{row.present}/{row.files}" if row.files else ""
        state = "ready" if row.verified else "absent" if not row.present else "incomplete or damaged"
        rows.append([row.name, files, f"{row.size / 2**20:.0f}" if row.files else "", state, row.folder])
    print_table(columns, rows)


@data.command()
@click.argument("names", nargs=-1, metavar="NAME...")
def fetch(names: tuple[str, ...]) -> None:
    """Fetch the official files of the data sets NAME..., those that are absent or damaged."""
    from turncoat import data as sets

    for name in _known(names):
        folder = sets.fetch(name)
        click.echo(f"{name}: {'is built in' if folder is None else folder}")


@data.command()
@click.argument("names", nargs=-1, metavar="NAME...")
def verify(names: tuple[str, ...]) -> None:
    """Check the files of the data sets NAME... against the official checksums."""
    from turncoat import data as sets

    for name in _known(names):
        sets.verify(name)
        click.echo(f"{name}: as published")


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, once all of them are known.

    Raises:
        TurncoatError: for an unknown name, or none at all.
    """
    from turncoat.data import DATASETS
    from turncoat.errors import choose

    if not names:
        raise TurncoatError(f"which data sets? type one or more of: {', '.join(DATASETS)}")
    return tuple(choose(name, DATASETS, "data set") for name in names)
