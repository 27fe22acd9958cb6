"""``turncoat sweep``: train all cells of an experiment file that the store lacks."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from turncoat.attack.names import STRONGEST
from turncoat.cli import early, options
from turncoat.cli.progress import bar, say
from turncoat.sweep import axes

if TYPE_CHECKING:
    from turncoat.sweep.cells import Cell

EXAMPLES = """
\b
Examples:
  turncoat sweep
  turncoat sweep examples/mnist.toml --store results.db --jobs 2
  turncoat sweep examples/mnist.toml --store results.db --ray
  turncoat figure heatmap --store results.db -o heatmap.png

\b
An experiment file has one key per line, named as in `turncoat attack --help` with _ for -;
a list of values is swept:
  dataset = "mnist"
  learning_rate = 0.05
  write_access = [0.1, 0.3, 1.0]
  local_budget = [0.1, 0.5]
  selection = ["optimal", "random"]
  seeds = 6                         # or a list of seeds

\b
A sweep that was stopped, in whatever way, goes on when the same command is typed again.
A second sweep on the same store waits for the end of the first.
"""


def _columns(cells: "Sequence[Cell]") -> list[str]:
    """What was done to the columns of each table, said once whatever it was trained with."""
    from turncoat.cli.show import column_lines
    from turncoat.sweep.prepared import read

    tables: dict[str, Any] = {}
    for problem in dict.fromkeys(cell.problem for cell in cells if cell.problem.label is not None):
        how = {name: getattr(problem, name) for name in ("drop", "group")}
        told = [problem.dataset, *(f"{name} {value}" for name, value in how.items() if value)]
        tables.setdefault(", ".join(told), problem)
    found = {name: column_lines(read(problem)) for name, problem in tables.items()}
    several = len(found) > 1
    return [f"{name}: {line}" if several else line for name, lines in found.items() for line in lines]


@click.command(epilog=EXAMPLES)
@click.argument("file", required=False, type=click.Path())
@options.store
@click.option("--device", default=None, help="Train there, whatever the file says: cpu or cuda.")
@options.jobs
@click.option(
    "--ray",
    is_flag=False,
    flag_value="any",
    default=None,
    metavar="[auto|ADDRESS]",
    help="Train on the Ray cluster at HOST:PORT, or on the one that is there (auto); --ray alone, after FILE, starts"
    " one on this machine's cores where none is. --jobs is then how many stacks at most.",
)
@options.quiet
def sweep(
    file: str | None, store: str, device: str | None, jobs: int | None, ray: str | None, quiet: bool
) -> None:
    """Train every cell of the experiment in FILE (without one: a grid on handwritten digits)."""
    asked = axes.demo() if file is None else early.read(file)
    from turncoat.cli import grid
    from turncoat.sweep import runner
    from turncoat.sweep.store import open_store

    if device is not None:
        asked = dataclasses.replace(asked, device=device)
    with bar("sweep", quiet) as report:
        outcome = runner.sweep(asked, store, report, jobs, say, ray)
    if quiet:
        return
    with open_store(store) as opened:
        grid.show(outcome.cells, opened.summary())
    count = len(outcome.cells)
    if all(cell.threat.is_clean for cell in outcome.cells):
        click.echo(
            "no cell is attacked: add write_access = [0.25], or workers and hostile, to the experiment"
        )
    if any(STRONGEST in own.get("selection", ()) for own in (asked.axes, *asked.also)):
        click.echo(f"the strongest rule of each budget: turncoat results --store {store} --strongest")
    for line in _columns(outcome.cells):
        click.echo(line)
    if outcome.trained:
        click.echo(f"{store}: {count} cells, {outcome.trained} of them trained now")
    else:
        click.echo(f"{store}: all {count} cells are there already; nothing to train")
