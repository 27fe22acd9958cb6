"""What a report is made of. Whatever shows one, a page or a terminal, shows these same values."""

import dataclasses
import math
from typing import Literal

Kind = Literal["text", "number", "count", "share", "percent", "chance"]
Value = str | float | int | bool | None
Cell = Value | tuple[float, float, float]  # three are an estimate: its value, and the ends of its interval


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph; a warning is set apart."""

    text: str
    warning: bool = False


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table: how its values are written; those of ``heat`` are shaded by their size, 0 to 1."""

    name: str
    kind: Kind = "text"
    heat: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows under a caption; the first column names each row. A long one may be cut to ``most`` rows when shown."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    most: int = 1000


@dataclasses.dataclass(frozen=True)
class Picture:
    """A drawing, and in words what it shows to those who do not see it."""

    caption: str
    alt: str
    svg: str
    paper: bool = False  # drawn on white, whatever the page's colours
    file: str = ""  # of a picture beside the page, relative to it, where none is drawn within


@dataclasses.dataclass(frozen=True)
class Choice:
    """Views of one thing, one per combination of options: a page can switch, everything else shows them in turn."""

    axes: tuple[str, ...]  # such as ("attack", "measure")
    views: tuple[
        tuple[tuple[str, ...], tuple["Block", ...]], ...
    ]  # an option for each axis, and what is shown


Block = Text | Table | Picture | Choice


@dataclasses.dataclass(frozen=True)
class Section:
    """One sentence first, then the picture, then the figures."""

    title: str
    lead: str
    blocks: tuple[Block, ...] = ()


@dataclasses.dataclass(frozen=True)
class Report:
    """A whole report."""

    title: str
    lead: str
    sections: tuple[Section, ...]
    footer: str = ""


def printable(text: object, longest: int | None = None) -> str:
    """A text without control characters, cut where it is longer."""
    words = str(text) if longest is None else str(text)[: longest + 1]
    plain = "".join(letter if letter.isprintable() else " " for letter in words)
    return plain if longest is None or len(plain) <= longest else f"{plain[:longest]}…"


def shown(value: Cell, kind: Kind) -> str:
    """A value as people read it."""
    if isinstance(value, tuple):
        middle, low, high = (shown(part, kind) for part in value)
        if math.isnan(value[1]):
            return f"{middle} [1 seed]"  # which has no interval
        return middle if low == high == middle else f"{middle} [{low}, {high}]"
    if value is None:
        return ""
    if isinstance(value, str | bool):
        return printable(value)
    if math.isnan(value):
        return "–"
    return _number(float(value), kind)


def _number(value: float, kind: Kind) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if kind == "count":
        return f"{value:,.0f}"
    if kind == "share":
        return f"{0.0 if abs(value) < 0.0005 else value:.3f}"
    if kind == "percent":
        return f"{100 * (0.0 if abs(value) < 0.0005 else value):.1f} %"
    if kind == "chance":  # a probability near 0 or 1 is not rounded to it
        return "above 99.9 %" if 0.999 < value < 1 else f"{100 * value:.1f} %"
    return f"{value:.4g}"


def size(value: Cell) -> float | None:
    """What a value is sorted and shaded by; None for words."""
    number = value[0] if isinstance(value, tuple) else value
    return None if isinstance(number, str | bool) or number is None or math.isnan(number) else float(number)
