"""A heat map with a number in every cell."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import SubFigure

from turncoat.figures import style

CELL = 0.24  # inches
EMPTY = "#f0f0f0"


def table_of(cells: pd.DataFrame, column: str = "mean") -> pd.DataFrame:
    """Local budget by write access, both growing."""
    return cells.pivot(index="local_budget", columns="write_access", values=column).sort_index()


def draw_grid(
    ax: Axes,
    table: pd.DataFrame,
    colours: Colormap,
    scale: Normalize,
    text: Callable[[float], str],
    bold: pd.DataFrame | None = None,
) -> QuadMesh:
    """Cells in the table's own order, first row at the bottom; cells without a number stay grey."""
    values = np.ma.masked_invalid(table.to_numpy(dtype=float))
    mesh = ax.pcolormesh(values, cmap=colours, norm=scale, edgecolors="white", linewidth=0.5)
    ax.set_facecolor(EMPTY)
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.tick_params(length=0)
    ax.set_xticks(np.arange(table.shape[1]) + 0.5, [_name(c) for c in table.columns])
    ax.set_yticks(np.arange(table.shape[0]) + 0.5, [_name(i) for i in table.index])
    if sum(len(_name(c)) for c in table.columns) > 3.2 * table.shape[1]:
        ax.tick_params(axis="x", rotation=90)
    for (row, column), value in np.ndenumerate(table.to_numpy(dtype=float)):
        if np.isfinite(value):
            red, green, blue, _ = colours(scale(float(value)))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            strong = bold is not None and bool(bold.to_numpy()[row, column])
            ax.text(
                column + 0.5,
                row + 0.5,
                text(float(value)),
                ha="center",
                va="center_baseline",
                size=5.8,
                color="white" if dark else "black",
                weight="bold" if strong else "normal",
            )
    return mesh


def panels(count: int, shape: tuple[int, int]) -> tuple[float, float, int]:
    """Width and height in inches and panels per row, for ``count`` heat maps of ``shape`` rows and columns.

    One column of a page if they fit side by side, else two.
    """
    wide, high = max(shape[1] * CELL, 0.9), max(shape[0] * CELL * 0.85, 0.8)
    if count * wide <= style.ONE_COLUMN - 0.85:
        return style.ONE_COLUMN, high + 0.65, count
    in_row = max(1, min(count, int((style.TWO_COLUMNS - 0.95) // (wide + 0.05))))
    if count == 1:
        return min(style.TWO_COLUMNS, wide + 1.0), high + 0.65, 1
    rows = -(-count // in_row)
    return min(style.TWO_COLUMNS, in_row * (wide + 0.1) + 0.95), rows * (high + 0.5) + 0.2, in_row


def axes_for(top: SubFigure, count: int, in_row: int, shared: bool = False) -> list[Axes]:
    """``count`` panels, ``in_row`` side by side; places left over stay empty."""
    found = top.subplots(-(-count // in_row), in_row, squeeze=False, sharex=shared, sharey=shared)
    for ax in found.flat[count:]:
        ax.set_axis_off()
    return list(found.flat[:count])


def label_axes(axes: Sequence[Axes], in_row: int) -> None:
    """Name k below every panel and b at the left of each row; inner panels keep no numbers for b."""
    for i, ax in enumerate(axes):
        ax.set_xlabel("write access k")
        if i % in_row == 0:
            ax.set_ylabel("local budget b")
        else:
            ax.tick_params(labelleft=False)


def _name(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
