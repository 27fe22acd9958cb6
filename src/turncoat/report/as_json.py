"""A report as JSON: the same figures as numbers, without the pictures."""

import json
import math
from typing import Any

from turncoat.report.report import Block, Cell, Choice, Picture, Report, Table, Text


def as_json(report: Report) -> str:
    """The report as one JSON object."""
    return json.dumps(plain(report), indent=1, ensure_ascii=False, allow_nan=False)


def plain(report: Report) -> dict[str, Any]:
    """The report as lists and dictionaries of plain values."""
    sections = [
        {"title": s.title, "lead": s.lead, "blocks": [_block(b) for b in s.blocks]} for s in report.sections
    ]
    return {"title": report.title, "lead": report.lead, "sections": sections, "footer": report.footer}


def _block(block: Block) -> dict[str, Any]:
    match block:
        case Text():
            return {"warning" if block.warning else "text": block.text}
        case Picture():
            return {"picture": block.caption, "shows": block.alt}
        case Table():
            names = [column.name for column in block.columns]
            rows = [dict(zip(names, map(_cell, row), strict=True)) for row in block.rows]
            return {"table": block.caption, "rows": rows}
        case Choice():
            views = [
                {
                    "options": dict(zip(block.axes, options, strict=True)),
                    "blocks": [_block(b) for b in blocks],
                }
                for options, blocks in block.views
            ]
            return {"views": views}


def _cell(value: Cell) -> Any:
    if isinstance(value, tuple):
        return dict(zip(("value", "low", "high"), map(_cell, value), strict=True))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
