"""Every attack against every aggregator, with the worst cases marked."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from turncoat import errors
from turncoat.figures import captions, cells, chosen, grid, style, versus
from turncoat.figures.heatmap import COLOURS, colour_bar
from turncoat.words import opening


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
    chosen.need(curves, ["aggregator"])
    name = "attack" if "attack" in curves else "selection"
    rows = chosen.one_setting(curves, where, metric, ("aggregator", name, *chosen.BLIND))
    rows = rows.assign(column=versus.columns(rows, name))
    table = versus.table(rows, metric, statistic, "aggregator")
    clean = versus.clean(rows, metric, statistic, "aggregator")
    text = _caption(rows, clean, metric, statistic)
    chance = versus.chance(rows) if metric == "accuracy" else None
    return _draw(table, clean, chance, cells.METRICS[metric], text, captioned)


def _draw(
    table: pd.DataFrame, clean: pd.Series, chance: float | None, label: str, text: str, captioned: bool
) -> Figure:
    figure, top = style.canvas(*versus.size(table), text, captioned)
    axes = top.subplots(1, 2, sharey=True, width_ratios=[1.0, max(table.shape[1], 1)])
    numbers = pd.concat([clean.to_frame(versus.CLEAN), table], axis=1).to_numpy(dtype=float)
    ends = [np.nanmin(numbers), np.nanmax(numbers), *([] if chance is None else [chance])]
    scale = Normalize(float(min(ends)), float(max(ends)))
    for ax, part, gid in zip(
        axes, (clean.to_frame(versus.CLEAN), table), (versus.CLEAN, "matrix"), strict=True
    ):
        mesh = grid.draw_grid(ax, part, matplotlib.colormaps[COLOURS], scale, lambda v: f"{100 * v:.0f}")
        mesh.set_gid(gid)
        ax.tick_params(axis="x", rotation=90)
    axes[1].tick_params(labelleft=False)
    versus.mark(axes[1], table)
    axes[0].set_ylabel("aggregator")
    axes[1].set_xlabel("attack")
    colour_bar(top, list(axes), ScalarMappable(scale, COLOURS), f"{label} (%)", None, chance)
    versus.legend(top, "aggregator")
    return figure


def _caption(rows: pd.DataFrame, clean: pd.Series, metric: str, statistic: str) -> str:
    attacked = rows[rows["write_access"] > 0]
    budget = [
        f"{n} = {', '.join(f'{v:g}' for v in sorted(attacked[c].unique()))}"
        for n, c in zip("kb", cells.AXES, strict=True)
    ]
    parts = [
        f"{opening(cells.METRICS[metric])} (%) of every attack against every aggregator, {', '.join(budget)}"
    ]
    parts += [captions.setting(rows), captions.statistic_text(rows, statistic)]
    if clean.isna().any():
        parts.append("Clean runs are missing for some aggregators")
    if (attacked["selection"] != chosen.RANDOM).all():
        parts.append("Random flips at the same budget are missing from these results")
    return captions.sentences([*parts, *captions.warnings(rows)])
