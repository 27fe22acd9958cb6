"""How figures are printed."""

import math
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import pandas as pd

WIDE = 160  # columns where nobody's terminal says how many


def console() -> Console:
    """Standard output; as wide as the terminal, or wide enough for a table where there is none."""
    return Console(width=None if sys.stdout.isatty() else WIDE, highlight=False, soft_wrap=False)


def wide(table: Table) -> None:
    """Print a table; where there is no terminal to fit into, as wide as it needs to be read."""
    out = console()
    if not sys.stdout.isatty():
        needed = Console(width=100_000).measure(table).maximum
        out = Console(width=max(WIDE, needed), highlight=False)
    out.print(table)


def records(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """The rows by column name."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def interval(row: Mapping[str, Any], name: str) -> str:
    """A mean with its 95 % interval."""
    mean, low, high = (row[f"{name}.{figure}"] for figure in ("mean", "low", "high"))
    if math.isnan(mean):
        return "–"
    # ":+.3f" would show -0.0004 as -0.000
    return f"{_zero(mean):.3f} \\[{_zero(low):.3f}, {_zero(high):.3f}]"


def note(row: Mapping[str, Any]) -> str:
    """``0 flips`` for a threat that flipped nothing."""
    return "0 flips" if row["write_access"] > 0 and row["flips"] == 0 else ""


def warning_lines(warnings: Iterable[str], stability: float) -> list[str]:
    """One line per named warning, saying what was found."""
    meaning = {
        "unstable-step": f"the step is {stability:.3g} times the longest that is sure to be stable on the clean"
        " problem, so harm measures instability as much as the attack; lower the learning rate or rescale the features",
    }
    return [f"warning {name}: {meaning.get(name, '')}" for name in warnings]


def _zero(value: float) -> float:
    return 0.0 if abs(value) < 0.0005 else value
