"""A report as lines for a terminal; pictures are left to the page."""

import io
import textwrap

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text as Plain

from turncoat.report.report import Block, Choice, Picture, Report, Table, Text, printable, shown

ROWS = 20  # of a table in a terminal


def as_lines(report: Report, width: int = 100, details: bool = True) -> str:
    """The report as text of at most this width, but for tables that need more; without details, sentences alone."""
    parts = [_wrapped(report.title, width), _wrapped(report.lead, width)]
    for section in report.sections:
        title = _wrapped(section.title, width)
        parts += [f"{title}\n{'─' * min(len(section.title), width)}", _wrapped(section.lead, width)]
        kept = section.blocks if details else [b for b in section.blocks if isinstance(b, Text) and b.warning]
        parts += [_block(block, width) for block in kept]
    return "\n\n".join(part for part in [*parts, _wrapped(report.footer, width)] if part)


def _block(block: Block, width: int) -> str:
    match block:
        case Text():
            return _wrapped(f"warning: {block.text}" if block.warning else block.text, width)
        case Picture():
            return ""
        case Table():
            return _table(block, width)
        case Choice():
            views = (
                "\n\n".join(
                    [_wrapped(f"{', '.join(options)}:", width), *(_block(part, width) for part in blocks)]
                )
                for options, blocks in block.views
                if any(not isinstance(part, Picture) for part in blocks)
            )
            return "\n\n".join(views)


def _table(table: Table, width: int) -> str:
    grid = Grid(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in table.columns:
        grid.add_column(Plain(printable(column.name)), justify="left" if column.kind == "text" else "right")
    for row in table.rows[:ROWS]:
        grid.add_row(*(Plain(shown(c, k.kind)) for c, k in zip(row, table.columns, strict=True)))
    sheet = io.StringIO()
    console = Console(file=sheet, width=width, highlight=False, markup=False, emoji=False, color_system=None)
    needed = console.measure(grid).minimum
    console.print(grid, width=max(width, needed))
    rest = len(table.rows) - ROWS
    lines = [line.rstrip() for line in sheet.getvalue().splitlines()]
    more = [f"and {rest:,} more rows"] if rest > 0 else []
    return "\n".join([_wrapped(table.caption, width), *lines, *more])


def _wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(printable(text), width))
