"""A drawing as SVG within a page: ids of its own, colours that follow the page, words on what is pointed at."""

import hashlib
import io
import re
import warnings
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

import matplotlib
from matplotlib.figure import Figure
from matplotlib.text import Text as Words

from turncoat.figures import style
from turncoat.report.report import Picture, printable

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
INK, LINE = "#010101", "#020202"  # in a drawing: the colours of the page's text and of its thin lines
PAGE_COLOURS = {INK: "currentColor", LINE: "var(--line)"}
POINTS = 1.7 * 96 / 72  # pixels in a point: pictures are drawn for a column of a paper, and shown larger
REFERENCE = re.compile(r"url\(#([^)]+)\)")

Hover = Mapping[str, str | Sequence[str]]
"""By gid of an artist: what is told of it, or of each of its markers in turn."""

ElementTree.register_namespace("", SVG)
ElementTree.register_namespace("xlink", XLINK)


def picture(
    figure: Figure, caption: str, alt: str, hover: Hover | None = None, paper: bool = False
) -> Picture:
    """The figure as a picture of a report; with ``paper`` it keeps its own colours, on white."""
    sheet = io.StringIO()
    for words in figure.findobj(Words):
        assert isinstance(words, Words)
        words.set_text("\n".join(map(printable, words.get_text().split("\n"))))
    with (
        matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "turncoat"}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the browser has fonts of its own
        style.settle(figure)
        figure.savefig(sheet, format="svg", transparent=not paper, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(
        sheet.getvalue()
    )  # comments, in which names from the data stand, are lost here
    for extra in root.findall(f"{{{SVG}}}metadata"):
        root.remove(extra)
    _explain(root, hover or {})
    if not paper:
        _follow_the_page(root)
    _own_ids(root, hashlib.sha256((sheet.getvalue() + caption).encode()).hexdigest()[:8])
    for side in ("width", "height"):
        root.set(side, f"{float(root.get(side, '0pt').removesuffix('pt')) * POINTS:.0f}")
    root.set("role", "img")
    root.set("aria-label", alt)
    return Picture(caption, alt, ElementTree.tostring(root, encoding="unicode"), paper)


def _explain(root: ElementTree.Element, hover: Hover) -> None:
    for element in list(root.iter()):
        told = hover.get(element.get("id", ""))
        if isinstance(told, str):
            _title(element, told)
        elif told is not None:
            for marker, words in zip(element.iter(f"{{{SVG}}}use"), told, strict=False):
                _title(marker, words)


def _title(element: ElementTree.Element, words: str) -> None:
    title = ElementTree.Element(f"{{{SVG}}}title")
    title.text = words
    element.insert(0, title)


def _follow_the_page(root: ElementTree.Element) -> None:
    for element in root.iter():
        looks = element.get("style")
        if looks is not None:
            for drawn, followed in PAGE_COLOURS.items():
                looks = looks.replace(drawn, followed)
            element.set("style", looks)
        elif element.tag == f"{{{SVG}}}text":  # black by default
            element.set("style", "fill: currentColor")


def _own_ids(root: ElementTree.Element, prefix: str) -> None:
    """Names that no other picture of the page has, and none that come from the data."""
    names = {
        element.get("id"): f"p{prefix}-{n}" for n, element in enumerate(root.iter()) if element.get("id")
    }
    for element in root.iter():
        for attribute, value in list(element.items()):
            if attribute == "id":
                element.set(attribute, names[value])
            elif attribute == f"{{{XLINK}}}href" and value[1:] in names:
                element.set(attribute, f"#{names[value[1:]]}")
            elif "url(#" in value:
                element.set(attribute, REFERENCE.sub(lambda m: f"url(#{names[m[1]]})", value))
