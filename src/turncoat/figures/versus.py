"""Tables of means with the attacks across: what stands against them down, the worst cases marked."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D

from turncoat import errors
from turncoat.figures import cells, chosen, grid, style

CLEAN = "clean"
TRIANGLE, DOT = ">", "o"
EDGE: dict[str, Any] = {"markersize": 3.4, "markeredgecolor": "black", "markeredgewidth": 0.4}


def columns(rows: pd.DataFrame, name: str) -> pd.Series:
    """The attack's name, with its goal and knowledge where they are not the usual ones."""
    label = rows[name].astype(str)
    label += np.where(rows["goal"] == "targeted", ", targeted", "")
    if "knowledge" in rows:
        label += np.where(rows["knowledge"] == "omniscient", "", ", " + rows["knowledge"].astype(str))
    if "aware" in rows:
        label += np.where(rows["aware"].astype(bool), ", aware", "")
    return label


def table(rows: pd.DataFrame, metric: str, statistic: str, of: str) -> pd.DataFrame:
    """The mean of every row (``of``) and attack (``column``).

    Raises:
        TurncoatError: if nothing is attacked, or at several budgets.
    """
    attacked = rows[rows["write_access"] > 0]
    if attacked.empty:
        raise errors.TurncoatError("nothing to draw: there are only clean runs, no attacked ones")
    by = [of, "column"]
    several = {
        "write_access": attacked["write_access"].nunique() > 1,
        "local_budget": attacked.groupby(by)["local_budget"].nunique().max() > 1,  # some attacks have none
    }
    if mixed := {c: sorted(attacked[c].unique().tolist()) for c in cells.AXES if several[c]}:
        raise chosen.mixed(mixed)
    found = cells.over_seeds(cells.per_seed(attacked, metric, statistic, by), by)
    rules, attacks = rows[of].dropna().unique(), attacked["column"].unique()
    wide = found.pivot(index=of, columns="column", values="mean")
    return wide.reindex(index=rules[::-1], columns=attacks)


def clean(rows: pd.DataFrame, metric: str, statistic: str, of: str) -> pd.Series:
    """The mean of every row's clean run."""
    honest = rows[rows["write_access"] == 0]
    found = cells.over_seeds(cells.per_seed(honest, metric, statistic, [of]), [of])
    return found.set_index(of)["mean"].reindex(rows[of].dropna().unique()[::-1])


def chance(rows: pd.DataFrame) -> float | None:
    """The accuracy of always answering the most frequent class, if the rows say it."""
    return (
        float(rows["chance"].dropna().iloc[0]) if "chance" in rows and rows["chance"].notna().any() else None
    )


def mark(ax: Axes, table: pd.DataFrame) -> None:
    """A triangle in the corner of each row's worst cell, a dot in the corner of each column's."""
    values = table.to_numpy(dtype=float)
    for row, line in enumerate(values):
        if np.isfinite(line).any():
            x, y = int(np.nanargmin(line)) + 0.13, row + 0.83
            ax.plot(x, y, marker=TRIANGLE, color=style.ORANGE, gid="worst attack", **EDGE)
    for column, line in enumerate(values.T):
        if np.isfinite(line).any():
            x, y = column + 0.87, int(np.nanargmin(line)) + 0.83
            ax.plot(x, y, marker=DOT, color="white", gid="worst row", **EDGE)


def legend(top: SubFigure, of: str) -> None:
    """What the marks mean, under the picture."""
    handles = [
        Line2D(
            [], [], linestyle="", marker=TRIANGLE, color=style.ORANGE, label="worst attack of the row", **EDGE
        ),
        Line2D([], [], linestyle="", marker=DOT, color="white", label=f"worst {of} of the column", **EDGE),
    ]
    top.legend(handles=handles, loc="outside lower center", ncols=2, handletextpad=0.2)


def size(table: pd.DataFrame, more: int = 1) -> tuple[float, float]:
    """Width and height in inches, with so ``more`` columns beside the table's."""
    longest = max(len(str(name)) for name in table.index) * 0.055
    tallest = max(len(str(name)) for name in (*table.columns, CLEAN)) * 0.055
    wide = (table.shape[1] + more) * grid.CELL + longest + 1.1
    return min(max(wide, style.ONE_COLUMN), style.TWO_COLUMNS), table.shape[0] * 0.2 + tallest + 0.6
