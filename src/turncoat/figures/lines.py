"""Lines with bands, and the legend that several panels share."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D

from turncoat.figures import style

RANDOM_TEXT = "random flips"


def attack_line(
    ax: Axes, x: str, table: pd.DataFrame, color: object, marker: str, gid: str, column: str = "mean"
) -> None:
    """A solid line with markers, and a band between ``low`` and ``high`` when the mean is drawn."""
    if column == "mean":
        ax.fill_between(
            table[x], table["low"], table["high"], color=color, alpha=0.18, linewidth=0, gid=f"band {gid}"
        )
    ax.plot(table[x], table[column], color=color, marker=marker, gid=gid)


def random_line(ax: Axes, x: str, table: pd.DataFrame, color: object, gid: str, column: str = "mean") -> None:
    """A thin dashed line."""
    ax.plot(
        table[x],
        table[column],
        color=color,
        linestyle=style.DASHED,
        linewidth=0.8,
        gid=f"random {gid}",
    )


def access_legend(
    top: SubFigure,
    accesses: Sequence[float],
    names: Sequence[str],
    title: str | None,
    random: bool,
    marked: bool = True,
    width: float = style.ONE_COLUMN,
    others: Sequence[Artist] = (),
) -> None:
    """The legend below the panels: one entry per write access, ``others``, and one for random flips."""
    colours, markers = style.access_colours(accesses), style.access_markers(accesses)
    handles: list[Artist] = [
        Line2D([], [], color=colours[k], marker=markers[k] if marked else "", label=name)
        for k, name in zip(accesses, names, strict=True)
    ]
    handles += others
    if random:
        handles.append(random_handle())
    below(top, handles, width, title)


def below(top: SubFigure, handles: Sequence[Artist], width: float, title: str | None = None) -> None:
    """A legend below the panels, in as many columns as fit into ``width`` inches."""
    sizes = [0.5 + 0.052 * len(str(handle.get_label())) for handle in handles]
    columns = next(n for n in range(len(sizes), 0, -1) if n == 1 or _needed(sizes, n) <= width)
    top.legend(handles=handles, title=title, loc="outside lower center", ncols=columns)


def _needed(sizes: Sequence[float], columns: int) -> float:
    """Width of a legend that is filled column by column, the first ones one entry longer if need be."""
    short, longer = divmod(len(sizes), columns)
    needed, start = 0.0, 0
    for column in range(columns):
        end = start + short + (column < longer)
        needed += max(sizes[start:end])
        start = end
    return needed


def random_handle() -> Line2D:
    """What random flips look like in a legend."""
    return Line2D([], [], color=style.GREY, linestyle=style.DASHED, linewidth=0.8, label=RANDOM_TEXT)
