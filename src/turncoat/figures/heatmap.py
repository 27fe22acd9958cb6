"""Accuracy over write access and local budget (paper A, Figures 6 and 7; paper B, Figure 8)."""

from collections.abc import Mapping, Sequence

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import PercentFormatter

from turncoat import errors
from turncoat.figures import captions, cells, grid, style
from turncoat.figures.cells import Runs
from turncoat.words import opening

COLOURS = "viridis"


def heatmap(
    curves: pd.DataFrame,
    *,
    metric: str = "accuracy",
    statistic: str = "tail",
    where: Mapping[str, object] | None = None,
    captioned: bool = True,
) -> Figure:
    """One panel per rule and goal of the attack and one for random flips; numbers in per cent.

    Raises:
        TurncoatError: for rows that cannot be drawn together, or a metric that is no share.
    """
    errors.choose(metric, cells.SHARES, "metric of a heat map")
    each = cells.read_each(curves, where, metric)
    runs = cells.joined(each)
    tables = _tables(each, metric, statistic)
    clean = cells.clean_value(runs, metric, statistic)
    chance = runs.value("chance") if metric == "accuracy" else None
    text = captions.caption(
        f"{opening(cells.METRICS[metric])} (%) over write access k and local budget b",
        runs,
        statistic,
    )
    shape = next(iter(tables.values())).shape
    width, height, in_row = grid.panels(len(tables), shape)
    figure, top = style.canvas(width, height, text, captioned)
    axes = grid.axes_for(top, len(tables), in_row)
    scale = _scale(tables, clean, chance)
    for ax, (title, table) in zip(axes, tables.items(), strict=True):
        mesh = grid.draw_grid(ax, table, matplotlib.colormaps[COLOURS], scale, lambda v: f"{100 * v:.0f}")
        mesh.set_gid(title)
        ax.set_title(title)
    grid.label_axes(axes, in_row)
    colour_bar(top, axes, ScalarMappable(scale, COLOURS), f"{cells.METRICS[metric]} (%)", clean, chance)
    return figure


def colour_bar(
    top: SubFigure,
    axes: list[Axes],
    colours: ScalarMappable,
    label: str,
    clean: float | None = None,
    chance: float | None = None,
) -> None:
    """A bar in per cent; the clean run and chance are lines on it, named at its left."""
    bar = top.colorbar(
        colours, ax=axes, fraction=0.06, pad=0.02, aspect=18, format=PercentFormatter(1, 0, None)
    )
    bar.outline.set_visible(False)
    bar.set_label(label)
    bar.ax.grid(False)
    for level, name, dashes in ((clean, "clean", "solid"), (chance, "chance", (0, (2, 1)))):
        if level is not None:
            bar.ax.axhline(level, color=style.ORANGE, linewidth=1.2, linestyle=dashes, gid=name)
            beside = bar.ax.get_yaxis_transform()
            bar.ax.text(
                -0.25, level, name, transform=beside, ha="right", va="center", size=6, color=style.GREY
            )


def _tables(each: Sequence[Runs], metric: str, statistic: str) -> dict[str, pd.DataFrame]:
    alike = len(each) > 1 and all(runs.goals == each[0].goals[:1] for runs in each)  # titles must fit
    parts = {
        runs.attack if alike else f"{runs.attack}, {goal}": runs.of(goal)
        for runs in each
        for goal in runs.goals
    }
    if len(each[0].random):
        parts["random flips"] = each[0].random
    found = {
        title: grid.table_of(cells.over_seeds(cells.per_seed(rows, metric, statistic)))
        for title, rows in parts.items()
    }
    return align(found)


def align(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The same k and b in all tables, so that panels can be compared cell by cell."""
    accesses = sorted({k for table in tables.values() for k in table.columns})
    budgets = sorted({b for table in tables.values() for b in table.index})
    return {name: table.reindex(index=budgets, columns=accesses) for name, table in tables.items()}


def _scale(tables: dict[str, pd.DataFrame], clean: float | None, chance: float | None) -> Normalize:
    ends = [float(table.min().min()) for table in tables.values()]
    ends += [float(table.max().max()) for table in tables.values()]
    ends += [level for level in (clean, chance) if level is not None]
    return Normalize(min(ends), max(ends))
