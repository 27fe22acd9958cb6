"""A report as Markdown; pictures within it are named, not drawn, those beside it are linked."""

import re
from urllib.parse import quote

from turncoat.report.report import Block, Choice, Picture, Report, Table, Text, printable, shown

_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~$&!])")


def as_markdown(report: Report) -> str:
    """The report as Markdown, with every mark in the data escaped."""
    parts = [f"# {_plain(report.title)}", _plain(report.lead)]
    for section in report.sections:
        parts += [f"## {_plain(section.title)}", _plain(section.lead)]
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join(part for part in [*parts, _plain(report.footer)] if part) + "\n"


def _block(block: Block) -> str:
    match block:
        case Text():
            return f"**Warning:** {_plain(block.text)}" if block.warning else _plain(block.text)
        case Picture():
            if block.file:
                return f"![{_plain(block.alt)}]({quote(block.file)})\n\n*{_plain(block.caption)}*"
            return f"*{_plain(block.caption)}* {_plain(block.alt)}"
        case Table():
            return _table(block)
        case Choice():
            return "\n\n".join(_view(options, blocks) for options, blocks in block.views)


def _view(options: tuple[str, ...], blocks: tuple[Block, ...]) -> str:
    return "\n\n".join([f"**{_plain(', '.join(options))}**", *map(_block, blocks)])


def _table(table: Table) -> str:
    head = [_plain(column.name) for column in table.columns]
    rule = ["---" if column.kind == "text" else "---:" for column in table.columns]
    rows = [
        [_plain(shown(cell, column.kind)) for cell, column in zip(row, table.columns, strict=True)]
        for row in table.rows[: table.most]
    ]
    lines = [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]
    rest = len(table.rows) - len(rows)
    return "\n".join([f"*{_plain(table.caption)}*", "", *lines]) + (f"\n\n{rest:,} more rows" if rest else "")


def _plain(text: str) -> str:
    return _MARKS.sub(r"\\\1", " ".join(printable(text).split()))
