"""Pictures of an audit: lines with bands over a share, and bars; every mark says its figure."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from turncoat.analysis.estimate import Estimate
from turncoat.figures import style
from turncoat.report.report import Picture, printable
from turncoat.report.svg import INK, LINE, picture

COLOURS = ("#2b7bba", "#d1622b", "#2f9e6e", "#a860b8", "#b08a1e")  # seen on light and on dark
MARKERS = "osD^v"
NAME = 28  # characters of a class's name beside a bar
SIZE = (4.6, 2.7)


class Line(NamedTuple):
    """Estimates over a share of wrong labels."""

    name: str
    shares: Sequence[float]
    found: Sequence[Estimate]


def lines(drawn: Sequence[Line], level: float, level_name: str, y_label: str, caption: str) -> Picture:
    """One line per attack with its interval as a band, and a level such as always guessing."""
    with style.applied():
        figure, axes = _axes(SIZE)
        hover: dict[str, list[str]] = {}
        for number, line in enumerate(drawn):
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
            means = [one.mean for one in line.found]
            axes.plot(
                line.shares, means, color=colour, marker=marker, label=line.name, gid=f"line {number}",
                linestyle="--" if line.name == "random" else "-",
            )  # fmt: skip
            if all(one.has_interval for one in line.found):
                lows, highs = ([getattr(one, end) for one in line.found] for end in ("low", "high"))
                axes.fill_between(line.shares, lows, highs, color=colour, alpha=0.18, linewidth=0)
            hover[f"line {number}"] = [
                f"{line.name}, {share:.1%} wrong: {_told(one)}"
                for share, one in zip(line.shares, line.found, strict=True)
            ]
        axes.axhline(level, color=INK, linewidth=0.8, linestyle=style.CHANCE_DASHES)
        axes.annotate(level_name, (0.01, level), xycoords=("axes fraction", "data"), va="bottom", color=INK)
        axes.set_ylim(0, 1.02)  # intervals of few seeds may reach beyond what can be
        axes.set_xlabel("share of wrong labels", color=INK)
        axes.set_ylabel(y_label, color=INK)
        axes.xaxis.set_major_formatter(PercentFormatter(1, 0))
        axes.legend(labelcolor=INK, loc="lower left")
        ends = "; ".join(f"{one.name}: {_told(one.found[-1])} at {one.shares[-1]:.0%}" for one in drawn)
        return picture(figure, caption, f"{caption} {ends}.", hover)


def bars(names: Sequence[str], groups: dict[str, Sequence[float]], x_label: str, caption: str) -> Picture:
    """A row of bars for each name, one bar per group."""
    with style.applied():
        figure, axes = _axes((SIZE[0], 0.7 + (0.1 + 0.16 * len(groups)) * len(names)))
        hover: dict[str, str] = {}
        thick = 0.8 / len(groups)
        for number, (group, values) in enumerate(groups.items()):
            places = [place + number * thick for place in range(len(names))]
            drawn = axes.barh(places, values, thick * 0.92, color=COLOURS[number], label=group)
            for place, (bar, value) in enumerate(zip(drawn, values, strict=True)):
                bar.set_gid(f"bar {number} {place}")
                hover[f"bar {number} {place}"] = f"{printable(names[place], NAME)}, {group}: {value:.1%}"
        axes.set_yticks([place + 0.4 - thick / 2 for place in range(len(names))])
        axes.set_yticklabels([printable(name, NAME) for name in names], parse_math=False)
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(PercentFormatter(1, 0))
        axes.set_xlabel(x_label, color=INK)
        if len(groups) > 1:
            axes.legend(labelcolor=INK, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        rows = "; ".join(
            f"{printable(name, NAME)}: "
            + ", ".join(f"{group} {values[place]:.1%}" for group, values in groups.items())
            for place, name in enumerate(names)
        )
        return picture(figure, caption, f"{caption} {rows}.", hover)


def _axes(size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(colors=INK)
    axes.grid(color=LINE)
    for spine in axes.spines.values():
        spine.set_color(INK)
    return figure, axes


def _told(one: Estimate) -> str:
    interval = f" [{one.low:.1%}, {one.high:.1%}]" if one.has_interval else ""
    return f"{one.mean:.1%}{interval}" if math.isfinite(one.mean) else "–"
