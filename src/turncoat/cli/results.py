"""``turncoat results``: what a store holds, as a table or a file."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from turncoat.cli import options
from turncoat.errors import TurncoatError
from turncoat.sweep.opening import refuse_unreadable
from turncoat.writing import is_shown, refuse_places, write_whole

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = """
\b
Examples:
  turncoat results
  turncoat results --store results.db --strongest
  turncoat results --store results.db --csv summary.csv
  turncoat results --store results.db --csv - | sort
  turncoat results --store results.db --curves --parquet curves.parquet
"""
WRITERS: dict[str, Callable[["pd.DataFrame", Path], object]] = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "json": lambda frame, path: frame.to_json(path, orient="records", indent=1),
    "parquet": lambda frame, path: frame.to_parquet(path, index=False),
}
ALWAYS = ("dataset", "write_access", "local_budget", "selection")


@click.command(epilog=EXAMPLES)
@options.store
@click.option("--csv", metavar="FILE", help="Write comma-separated values; - is standard output.")
@click.option("--json", "json_file", metavar="FILE", help="Write a JSON list of rows.")
@click.option("--parquet", metavar="FILE", help="Write a Parquet file.")
@click.option("--curves", is_flag=True, help="One row per cell, seed and epoch instead of statistics.")
@click.option(
    "--strongest",
    is_flag=True,
    help="Of the rules tried with one budget and goal only the one that harms most on training data.",
)
def results(
    store: str,
    csv: str | None,
    json_file: str | None,
    parquet: str | None,
    curves: bool,
    strongest: bool,
) -> None:
    """Show a store's cells with their statistics over seeds, or write them to files."""
    files = {"csv": csv, "json": json_file, "parquet": parquet}
    wanted = {kind: Path(file) for kind, file in files.items() if file is not None}
    if curves and not wanted:
        raise TurncoatError("curves are too long for a table: type --csv, --json or --parquet and a file")
    refuse_places(wanted.values())
    refuse_unreadable(store)
    from turncoat.sweep.store import open_store

    with open_store(store) as opened:
        long = opened.curves() if curves or strongest else None
        frame = long if curves and long is not None else opened.summary()
    if frame.empty:
        raise TurncoatError(
            f"{store}: the store has no cells yet; fill it with: turncoat sweep --store {store}"
        )
    if strongest and long is not None:
        frame = only_strongest(frame, long)
    for kind, path in wanted.items():
        write_whole(path, functools.partial(WRITERS[kind], frame))
        if not any(map(is_shown, wanted.values())):
            click.echo(f"{path}: {len(frame)} rows")
    if not wanted:
        show(frame)


def only_strongest(frame: "pd.DataFrame", curves: "pd.DataFrame") -> "pd.DataFrame":
    """The rows of clean runs, and of each budget's and goal's strongest rule."""
    from turncoat.analysis.strongest import strongest_rows
    from turncoat.sweep.cells import COLUMNS

    config = [name for name in COLUMNS if name != "seed"]

    def told(rows: "pd.DataFrame") -> "list[tuple[object, ...]]":
        own = rows[config].astype(object)
        return list(own.where(own.notna(), None).itertuples(index=False, name=None))

    best = {*told(strongest_rows(curves[curves["write_access"] > 0]))}
    clean = (frame["write_access"] == 0).tolist()
    kept = [here or row in best for here, row in zip(clean, told(frame), strict=True)]
    return frame[kept].reset_index(drop=True)


def show(summary: "pd.DataFrame") -> None:
    """Print the table: settings that differ, statistics, notes."""
    from turncoat.cli.show import Column, interval, note, print_table, records
    from turncoat.sweep.cells import COLUMNS, HOW, short
    from turncoat.sweep.frames import say_which_file

    attacked = summary[summary["write_access"] > 0]
    differ = {
        n for n in COLUMNS if n in summary and (attacked if n in HOW else summary)[n].nunique(False) > 1
    }
    if say_which_file(summary):
        summary = summary.assign(fingerprint=summary["fingerprint"].map(short))
    else:
        differ.discard("fingerprint")
    names = [n for n in COLUMNS if n in differ or (n in ALWAYS and n in summary)]
    columns = [Column(name.replace("_", " ")) for name in names]
    columns += [
        Column("seeds", justify="right"),
        Column("k·b", "figure", spare=True),
        *(Column(name, "figure") for name in ("accuracy [95 %]", "macro F1", "harm [95 %]")),
        Column("notes", "prose"),
    ]
    rows = []
    for row in records(summary):
        clean = row["write_access"] == 0
        settings = [None if clean and name in HOW[1:] else _setting(row[name]) for name in names]
        if clean and "selection" in names:
            settings[names.index("selection")] = "clean"
        harm = "" if clean or "harm.mean" not in row else interval(row, "harm")
        f1 = f"{row['macro_f1.mean']:.3f}"
        figures = [f"{row['global_budget']:.4g}", interval(row, "accuracy"), f1, harm]
        notes = " ".join(text for text in (note(row), str(row["warnings"])) if text)
        rows.append([*settings, str(row["seeds"]), *figures, notes])
    print_table(columns, rows)


def _setting(value: object) -> str | None:
    """A setting in words; None and pandas' NaN are those that are absent."""
    if value is None or value != value:
        return None
    return f"{value:.4g}" if isinstance(value, float) else str(value)
