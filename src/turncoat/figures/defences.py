"""Every defence against every attack, with its price beside: what a defence costs where nobody attacks."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from turncoat import errors
from turncoat.analysis import pairs
from turncoat.figures import captions, cells, chosen, grid, style, versus
from turncoat.figures.heatmap import COLOURS, colour_bar
from turncoat.words import opening

NONE = "none"
PRICE = "price"


def defences(
    curves: pd.DataFrame,
    *,
    metric: str = "accuracy",
    statistic: str = "tail",
    where: Mapping[str, object] | None = None,
    captioned: bool = True,
) -> Figure:
    """One row per defence: its price, the clean run, then one column per attack.

    Needs a column ``defence``. Each at one write access and local budget. The price is what the metric loses by the
    defence where nobody attacks, seed by seed, and stands beside if there are undefended runs.

    Raises:
        TurncoatError: for rows that mix settings, or budgets, or have no column ``defence``.
    """
    errors.choose(metric, cells.SHARES, "metric of defences")
    chosen.need(curves, ["defence"])
    rows = chosen.one_setting(curves, where, metric, ("defence", "selection", *chosen.BLIND))
    rows = rows.assign(column=versus.columns(rows, "selection"))
    table = versus.table(rows, metric, statistic, "defence")
    clean = versus.clean(rows, metric, statistic, "defence")
    order = [name for name in clean.index if name != NONE] + [name for name in clean.index if name == NONE]
    table, clean = (
        table.reindex(order),
        clean.reindex(order),
    )  # drawn upwards: undefended training stands on top
    price = prices(rows, metric, statistic).reindex(clean.index)
    figure, top = style.canvas(*versus.size(table, 2), _caption(rows, metric, statistic), captioned)
    axes = top.subplots(1, 3, sharey=True, width_ratios=[1.0, 1.0, max(table.shape[1], 1)])
    numbers = pd.concat([clean, table], axis=1).to_numpy(dtype=float)
    chance = versus.chance(rows) if metric == "accuracy" else None
    ends = [np.nanmin(numbers), np.nanmax(numbers), *([] if chance is None else [chance])]
    scale = Normalize(float(min(ends)), float(max(ends)))
    paid = Normalize(
        0, max(0.01, float(np.nanmax(price.fillna(0).abs()))) * 2
    )  # pale: figures are what counts
    for ax, part, gid in zip(
        axes, (price.to_frame(PRICE), clean.to_frame(versus.CLEAN), table), (PRICE, versus.CLEAN, "defences"),
        strict=True,
    ):  # fmt: skip
        colours, norm = ("Greys", paid) if gid == PRICE else (COLOURS, scale)
        mesh = grid.draw_grid(ax, part, matplotlib.colormaps[colours], norm, _digits)
        mesh.set_gid(gid)
        ax.tick_params(axis="x", rotation=90)
    for ax in axes[1:]:
        ax.tick_params(labelleft=False)
    versus.mark(axes[2], table)
    axes[0].set_ylabel("defence")
    axes[2].set_xlabel("attack")
    colour_bar(top, list(axes), ScalarMappable(scale, COLOURS), f"{cells.METRICS[metric]} (%)", None, chance)
    versus.legend(top, "defence")
    return figure


def prices(rows: pd.DataFrame, metric: str, statistic: str) -> pd.Series:
    """What each defence costs where nobody attacks: the mean over seeds of the undefended run less the defended one."""
    honest = cells.per_seed(rows[rows["write_access"] == 0], metric, statistic, ["defence"])
    wide = honest.pivot(index="seed", columns="defence", values="value")
    if NONE not in wide:
        return pd.Series(np.nan, index=wide.columns)
    return pd.Series({name: pairs.difference(wide[NONE], wide[name]).mean for name in wide.columns})


def _digits(value: float) -> str:
    return f"{100 * value:.0f}".replace("-0", "0")


def _caption(rows: pd.DataFrame, metric: str, statistic: str) -> str:
    attacked = rows[rows["write_access"] > 0]
    budget = [
        f"{n} = {', '.join(f'{v:g}' for v in sorted(attacked[c].unique()))}"
        for n, c in zip("kb", cells.AXES, strict=True)
    ]
    parts = [
        f"{opening(cells.METRICS[metric])} (%) of every defence under every attack, {', '.join(budget)}",
        captions.setting(rows.assign(defence=NONE)),
        captions.statistic_text(rows, statistic),
    ]
    if (rows["defence"] == NONE).any():
        parts.append("Price: points that a defence costs where nobody attacks")
    if "aware" in rows and attacked["aware"].astype(bool).any():
        parts.append("Aware: the attacker tries its flips against the defence")
    if (attacked["selection"] != chosen.RANDOM).all():
        parts.append("Random flips at the same budget are missing from these results")
    return captions.sentences([*parts, *captions.warnings(rows)])
