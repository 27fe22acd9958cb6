"""How tables and figures are printed: one way for all commands."""

import dataclasses
import math
import os
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import pandas as pd

    from turncoat.data.dataset import Dataset

WIDE = 160  # columns where nobody's terminal says how many
NO_INTERVAL = "1 seed"  # in place of its ends
MOST_NOTES = 12  # columns of which is said what was done to them
READABLE = 24  # columns below which running text is not squeezed

Cell = str | None
Row = Sequence[Cell]


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    A setting on which all rows agree is said once above the table; prose may run over several lines, figures and
    settings are never cut; what is spare is left out where the table would not fit.
    """

    name: str
    kind: Literal["setting", "figure", "prose"] = "setting"
    spare: bool = False
    justify: Literal["left", "center", "right"] | None = None
    spoken: str | None = None  # the name before a value in running text, where it is another


def fitted() -> bool:
    """Whether somebody has said how wide the output is: a terminal, or COLUMNS."""
    columns = os.environ.get("COLUMNS", "")
    return sys.stdout.isatty() or (columns.isdigit() and int(columns) > 0)


def console() -> Console:
    """Standard output; as wide as the terminal, or wide enough for a table where there is none."""
    return _console(None if fitted() else WIDE)


def print_table(columns: Sequence[Column], rows: Sequence[Row], lines: bool = False) -> None:
    """Print a table as it fits: with lines, without, or as a block for each row; None is where nothing applies."""
    out = console()
    columns, rows, same = _agreed(columns, rows)
    if same:
        out.print(same)
    for candidate, left_out in _candidates(columns, rows, lines):
        if not fitted():  # as wide as it needs to be read
            needed = Console(width=100_000).measure(candidate).maximum
            out = _console(max(WIDE, needed))
        if Measurement.get(out, out.options.update(max_width=100_000), candidate).minimum <= out.width:
            out.print(candidate)
            if left_out:
                out.print(f"left out for want of width: {left_out}")
            return
    for row in rows:
        _block(out, columns, row)


def _console(width: int | None) -> Console:
    # what stands in brackets or between colons are names of people's data and figures, never markup
    return Console(width=width, highlight=False, markup=False, emoji=False)


def _agreed(columns: Sequence[Column], rows: Sequence[Row]) -> tuple[list[Column], list[Row], str]:
    """The columns that tell rows apart, and in words those that do not; blank ones say nothing at all."""
    kept, same = [], []
    for number, column in enumerate(columns):
        values = list(dict.fromkeys(row[number] for row in rows if row[number] is not None))
        if column.kind == "setting" and column.name and len(rows) > 1 and len(values) == 1:
            same += [_spoken(column, values[0])] if values[0] else []
        elif any(values) or column.kind == "figure":
            kept.append(number)
    return [columns[n] for n in kept], [[row[n] for n in kept] for row in rows], ", ".join(same)


def _candidates(columns: Sequence[Column], rows: Sequence[Row], lines: bool) -> Iterator[tuple[Table, str]]:
    """Tables of these columns, ever narrower, each with what it leaves out."""
    yield _table(columns, rows, show_lines=lines), ""
    narrow: dict[str, Any] = {
        "box": box.SIMPLE_HEAD,
        "show_edge": False,
        "pad_edge": False,
        "show_lines": lines,
    }
    yield _table(columns, rows, tall=True, **narrow), ""
    needed = [n for n, column in enumerate(columns) if not column.spare]
    spare = ", ".join(column.name for column in columns if column.spare)
    fewer = [columns[n] for n in needed]
    for padding in ((0, 1), (0, 1, 0, 0)):
        yield (
            _table(fewer, [[row[n] for n in needed] for row in rows], tall=True, padding=padding, **narrow),
            spare,
        )


def _table(columns: Sequence[Column], rows: Sequence[Row], tall: bool = False, **look: Any) -> Table:
    table = Table(**look)
    for number, column in enumerate(columns):
        cells = [row[number] or "" for row in rows]
        name = _over_lines(column.name, cells) if tall else column.name
        longest = max(cell_len(text) for text in (*name.splitlines(), *cells, ""))
        prose = column.kind == "prose"
        table.add_column(
            Text(name),
            justify=column.justify or ("right" if column.kind == "figure" else "left"),
            no_wrap=not prose,
            min_width=min(longest, READABLE) if prose else longest,
        )
    for row in rows:
        table.add_row(*(Text(cell or "") for cell in row))
    return table


def _over_lines(name: str, cells: Sequence[str]) -> str:
    """A column's name in lines that are no longer than its cells and its longest word."""
    width = max(cell_len(text) for text in (*cells, *name.split(), " "))
    return "\n".join(textwrap.wrap(name, width))


def _block(out: Console, columns: Sequence[Column], row: Row) -> None:
    """A row as a line of its settings, and its figures below."""
    told = [(column, cell) for column, cell in zip(columns, row, strict=True) if cell]
    out.print(", ".join(_spoken(column, cell) for column, cell in told if column.kind == "setting"))
    line = ""
    for column, cell in told:
        text = _spoken(column, cell)
        if column.kind == "setting":
            continue
        if line and cell_len(line) + cell_len(text) + 3 > out.width:
            out.print(line)
            line = ""
        if column.kind == "figure" and cell_len(text) + 2 > out.width:
            text = text.removesuffix(cell) + "\n    " + cell
        line += f"{'   ' if line else '  '}{text}"
    if line:
        out.print(line)


def _spoken(column: Column, cell: Cell) -> str:
    return f"{column.name if column.spoken is None else column.spoken} {cell}".strip()


def records(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """The rows by column name."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def interval(row: Mapping[str, Any], name: str) -> str:
    """A mean with its 95 % interval, which one seed does not have."""
    mean, low, high = (row[f"{name}.{figure}"] for figure in ("mean", "low", "high"))
    if math.isnan(mean):
        return "–"
    if math.isnan(low):
        return f"{_zero(mean):.3f} [{NO_INTERVAL}]"
    # ":+.3f" would show -0.0004 as -0.000
    return f"{_zero(mean):.3f} [{_zero(low):.3f}, {_zero(high):.3f}]"


def note(row: Mapping[str, Any]) -> str:
    """``0 flips`` for a threat that flipped nothing though it flips labels, as gradient attacks do not."""
    from turncoat.federation.attacks import GRADIENT_ATTACKS

    idle = row["write_access"] > 0 and row["flips"] == 0 and row["selection"] not in GRADIENT_ATTACKS
    return "0 flips" if idle else ""


def warning_lines(warnings: Iterable[str], stability: float) -> list[str]:
    """One line per named warning, saying what was found."""
    meaning = {
        "unstable-step": f"the step is {stability:.3g} times the longest that is sure to be stable on the clean"
        " problem, so harm measures instability as much as the attack; lower the learning rate or rescale the features",
        "no-skill": "the clean model is no better than always answering the most frequent class, so harm says nothing;"
        " train longer, or with another learning rate, scale or model",
        "evaluation-mode": "flips are exact for the model in evaluation mode, at the statistics of their step, and it"
        " trains in another",
    }
    return [f"warning {name}: {meaning.get(name, '')}" for name in warnings]


def column_lines(dataset: "Dataset") -> list[str]:
    """One line per column of a table that was not taken as it stood, the first ones and how many more."""
    notes = dataset.origin.notes() if dataset.origin else []
    most = notes[:MOST_NOTES]
    more = [f"and {len(notes) - len(most)} more columns that were not taken as they stood"]
    return most + more * (len(notes) > len(most))


def _zero(value: float) -> float:
    return 0.0 if abs(value) < 0.0005 else value
