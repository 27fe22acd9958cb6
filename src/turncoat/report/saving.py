"""A report as a page, with its figures as JSON beside it: both are there whole, or neither."""

import functools
from pathlib import Path

from turncoat.errors import TurncoatError
from turncoat.report.as_json import as_json
from turncoat.report.html import as_html
from turncoat.report.markdown import as_markdown
from turncoat.report.report import Report
from turncoat.writing import is_stream, refuse_places, write_whole

ENDINGS = (".html", ".htm", ".md")


def places(path: Path) -> tuple[Path, ...]:
    """The files that a report at ``path`` writes; beside a stream there is none.

    Raises:
        TurncoatError: for an ending other than .html and .md, or where no file can be written.
    """
    if is_stream(path):
        refuse_places([path])
        return (path,)
    if path.suffix.lower() not in ENDINGS:
        raise TurncoatError(f"{path}: a report cannot end in {path.suffix!r} (allowed: {', '.join(ENDINGS)})")
    both = (path, path.with_suffix(".json"))
    refuse_places(both)
    return both


def save(report: Report, path: Path) -> tuple[Path, ...]:
    """Write the report; return the files.

    Raises:
        TurncoatError: as ``places``, or if one cannot be written.
    """
    files = places(path)
    as_text = as_markdown if path.suffix.lower() == ".md" else as_html
    texts = [as_text(report), as_json(report)]  # both are made before one is written
    for file, text in zip(files, texts, strict=False):
        write_whole(file, functools.partial(_write, text))
    return files


def _write(text: str, part: Path) -> None:
    part.write_text(text, encoding="utf-8")
