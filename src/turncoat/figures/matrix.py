"""Every attack against every aggregator, with the worst cases marked."""

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from turncoat import errors
from turncoat.figures import captions, cells, grid, style
from turncoat.figures.heatmap import COLOURS, colour_bar

CLEAN = "clean"
TRIANGLE, DOT = ">", "o"
EDGE: dict[str, Any] = {"markersize": 3.4, "markeredgecolor": "black", "markeredgewidth": 0.4}


def matrix(
    curves: pd.DataFrame,
    *,
    metric: str = "accuracy",
    statistic: str = "tail",
    where: Mapping[str, object] | None = None,
    captioned: bool = True,
) -> Figure:
    """One row per aggregator, the clean run at the left, then one column per attack.

    Needs a column ``aggregator``; attacks are named by ``attack`` if there is such a column, else ``selection``.
    Each at one write access and local budget. A triangle marks the attack that hurts an aggregator most, a dot
    the aggregator that an attack hurts most.

    Raises:
        TurncoatError: for rows that mix settings, or budgets, or have no column ``aggregator``.
    """
    errors.choose(metric, cells.SHARES, "metric of a matrix")
    cells.need(curves, ["aggregator"])
    name = "attack" if "attack" in curves else "selection"
    rows = cells.one_setting(curves, where, metric, ("aggregator", name, *cells.BLIND))
    rows = rows.assign(column=_columns(rows, name))
    table = _table(rows, metric, statistic)
    clean = _clean(rows, metric, statistic)
    text = _caption(rows, clean, metric, statistic)
    chance = _chance(rows) if metric == "accuracy" else None
    return _draw(table, clean, chance, cells.METRICS[metric], text, captioned)


def _draw(
    table: pd.DataFrame, clean: pd.Series, chance: float | None, label: str, text: str, captioned: bool
) -> Figure:
    figure, top = style.canvas(*_size(table), text, captioned)
    axes = top.subplots(1, 2, sharey=True, width_ratios=[1.0, max(table.shape[1], 1)])
    numbers = pd.concat([clean.to_frame(CLEAN), table], axis=1).to_numpy(dtype=float)
    ends = [np.nanmin(numbers), np.nanmax(numbers), *([] if chance is None else [chance])]
    scale = Normalize(float(min(ends)), float(max(ends)))
    for ax, part, gid in zip(axes, (clean.to_frame(CLEAN), table), (CLEAN, "matrix"), strict=True):
        mesh = grid.draw_grid(ax, part, matplotlib.colormaps[COLOURS], scale, lambda v: f"{100 * v:.0f}")
        mesh.set_gid(gid)
        ax.tick_params(axis="x", rotation=90)
    axes[1].tick_params(labelleft=False)
    _mark(axes[1], table)
    axes[0].set_ylabel("aggregator")
    axes[1].set_xlabel("attack")
    colour_bar(top, list(axes), ScalarMappable(scale, COLOURS), f"{label} (%)", None, chance)
    _legend(top)
    return figure


def _columns(rows: pd.DataFrame, name: str) -> pd.Series:
    """The attack's name, with its goal and knowledge where they are not the usual ones."""
    label = rows[name].astype(str)
    label += np.where(rows["goal"] == "targeted", ", targeted", "")
    if "knowledge" in rows:
        label += np.where(rows["knowledge"] == "omniscient", "", ", " + rows["knowledge"].astype(str))
    if "aware" in rows:
        label += np.where(rows["aware"].astype(bool), ", aware", "")
    return label


def _table(rows: pd.DataFrame, metric: str, statistic: str) -> pd.DataFrame:
    attacked = rows[rows["write_access"] > 0]
    if attacked.empty:
        raise errors.TurncoatError("nothing to draw: there are only clean runs, no attacked ones")
    by = ["aggregator", "column"]
    several = {
        "write_access": attacked["write_access"].nunique() > 1,
        "local_budget": attacked.groupby(by)["local_budget"].nunique().max() > 1,  # some attacks have none
    }
    if mixed := {c: sorted(attacked[c].unique().tolist()) for c in cells.AXES if several[c]}:
        raise cells.mixed(mixed)
    found = cells.over_seeds(cells.per_seed(attacked, metric, statistic, by), by)
    rules, attacks = rows["aggregator"].dropna().unique(), attacked["column"].unique()
    wide = found.pivot(index="aggregator", columns="column", values="mean")
    return wide.reindex(index=rules[::-1], columns=attacks)


def _clean(rows: pd.DataFrame, metric: str, statistic: str) -> pd.Series:
    honest = rows[rows["write_access"] == 0]
    found = cells.over_seeds(cells.per_seed(honest, metric, statistic, ["aggregator"]), ["aggregator"])
    return found.set_index("aggregator")["mean"].reindex(rows["aggregator"].dropna().unique()[::-1])


def _chance(rows: pd.DataFrame) -> float | None:
    return (
        float(rows["chance"].dropna().iloc[0]) if "chance" in rows and rows["chance"].notna().any() else None
    )


def _mark(ax: Axes, table: pd.DataFrame) -> None:
    """A triangle in the corner of each row's worst cell, a dot in the corner of each column's."""
    values = table.to_numpy(dtype=float)
    for row, line in enumerate(values):
        if np.isfinite(line).any():
            x, y = int(np.nanargmin(line)) + 0.13, row + 0.83
            ax.plot(x, y, marker=TRIANGLE, color=style.ORANGE, gid="worst attack", **EDGE)
    for column, line in enumerate(values.T):
        if np.isfinite(line).any():
            x, y = column + 0.87, int(np.nanargmin(line)) + 0.83
            ax.plot(x, y, marker=DOT, color="white", gid="worst aggregator", **EDGE)


def _legend(top: SubFigure) -> None:
    handles = [
        Line2D(
            [], [], linestyle="", marker=TRIANGLE, color=style.ORANGE, label="worst attack of the row", **EDGE
        ),
        Line2D(
            [], [], linestyle="", marker=DOT, color="white", label="worst aggregator of the column", **EDGE
        ),
    ]
    top.legend(handles=handles, loc="outside lower center", ncols=2, handletextpad=0.2)


def _size(table: pd.DataFrame) -> tuple[float, float]:
    longest = max(len(str(name)) for name in table.index) * 0.055
    tallest = max(len(str(name)) for name in (*table.columns, CLEAN)) * 0.055
    wide = (table.shape[1] + 1) * grid.CELL + longest + 1.1
    return min(max(wide, style.ONE_COLUMN), style.TWO_COLUMNS), table.shape[0] * 0.2 + tallest + 0.6


def _caption(rows: pd.DataFrame, clean: pd.Series, metric: str, statistic: str) -> str:
    attacked = rows[rows["write_access"] > 0]
    budget = [
        f"{n} = {', '.join(f'{v:g}' for v in sorted(attacked[c].unique()))}"
        for n, c in zip("kb", cells.AXES, strict=True)
    ]
    parts = [
        f"{captions.opening(cells.METRICS[metric])} (%) of every attack against every aggregator, {', '.join(budget)}"
    ]
    parts += [captions.setting(rows), captions.statistic_text(rows, statistic)]
    if clean.isna().any():
        parts.append("Clean runs are missing for some aggregators")
    if (attacked["selection"] != cells.RANDOM).all():
        parts.append("Random flips at the same budget are missing from these results")
    return captions.sentences([*parts, *captions.warnings(rows)])
