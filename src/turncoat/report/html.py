"""A report as one HTML file that asks nothing of any host; whatever comes from the data is escaped."""

import dataclasses
from importlib import resources

import jinja2
from markupsafe import Markup

from turncoat.report.report import (
    Block,
    Choice,
    Picture,
    Report,
    Section,
    Table,
    Text,
    printable,
    shown,
    size,
)

LIMIT = 4_500_000  # bytes of a page
PICTURES = 3_000_000  # of which pictures may take
FEWEST = 10  # rows of a table that is cut to fit
LONGEST = 300  # characters of a name in a cell


def as_html(report: Report) -> str:
    """The report as a page of less than 5 MB, whatever it holds: what does not fit is left to the JSON, and said."""
    report = _with_few_pictures(report)
    most = 1000
    while True:
        page = _rendered(report, most)
        if len(page.encode()) <= LIMIT or most <= FEWEST:
            return page
        most //= 2


def _rendered(report: Report, most: int) -> str:
    folder = resources.files("turncoat.report") / "templates"
    files = {
        name: (folder / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", "page.js")
    }
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        loader=jinja2.DictLoader(files),
    )  # fmt: skip
    environment.filters |= {"shown": _shown, "size": size, "cut": cut, "svg": _svg}
    environment.tests |= {
        name: lambda block, kind=kind: isinstance(block, kind)
        for name, kind in (("text", Text), ("table", Table), ("picture", Picture), ("choice", Choice))
    }
    style, script = (Markup(files[name]) for name in ("page.css", "page.js"))
    return environment.get_template("page.html").render(
        report=report, style=style, script=script, most=most, beside=any(map(_beside, report.sections))
    )


def _beside(part: Section | Block) -> bool:
    """Whether a picture of it lies in a file beside the page."""
    if isinstance(part, Section):
        return any(map(_beside, part.blocks))
    if isinstance(part, Choice):
        return any(_beside(block) for _, blocks in part.views for block in blocks)
    return isinstance(part, Picture) and bool(part.file)


def cut(text: object) -> str:
    """A text without control characters, and of bearable length."""
    return printable(text, LONGEST)


def _shown(cell: object, kind: str) -> str:
    return cut(shown(cell, kind))  # type: ignore[arg-type]


def _svg(picture: Picture) -> Markup:
    return Markup(picture.svg)  # made by matplotlib, which escapes what comes from the data


def _with_few_pictures(report: Report) -> Report:
    """The report with the first pictures that fit, and a word in the place of every other."""
    left = PICTURES

    def kept(block: Block) -> Block:
        nonlocal left
        if isinstance(block, Choice):
            views = tuple((options, tuple(map(kept, blocks))) for options, blocks in block.views)
            return dataclasses.replace(block, views=views)
        if isinstance(block, Picture):
            if len(block.svg.encode()) > left:
                return Text(f"Left out for want of room: a picture. {block.caption}")
            left -= len(block.svg.encode())
        return block

    def fewer(section: Section) -> Section:
        return dataclasses.replace(section, blocks=tuple(map(kept, section.blocks)))

    return dataclasses.replace(report, sections=tuple(map(fewer, report.sections)))
