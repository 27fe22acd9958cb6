"""Every attack at every budget: which rule costs most where."""

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

WHEN = ("schedule", "last_rounds")  # a rule's rows are told apart by these too


def rules(
    curves: pd.DataFrame,
    *,
    metric: str = "accuracy",
    statistic: str = "tail",
    where: Mapping[str, object] | None = None,
    captioned: bool = True,
) -> Figure:
    """One row per rule, one column per write access and local budget; the least of each column is marked.

    Raises:
        TurncoatError: for rows that mix settings, or a metric that is no share.
    """
    errors.choose(metric, cells.SHARES, "metric of rules")
    apart = [column for column in ("selection", *WHEN, *chosen.BLIND) if column in curves]
    rows = chosen.one_setting(curves, where, metric, apart)
    attacked = rows[rows["write_access"] > 0]
    if attacked.empty:
        raise errors.TurncoatError("nothing to draw: there are only clean runs, no attacked ones")
    attacked = attacked.assign(rule=names(attacked), budget=_budgets(attacked))
    found = cells.over_seeds(
        cells.per_seed(attacked, metric, statistic, ["rule", "budget"]), ["rule", "budget"]
    )
    order = attacked.sort_values(["write_access", "local_budget"], ascending=[False, True])["budget"].unique()
    table = found.pivot(index="rule", columns="budget", values="mean")
    table = table.loc[table.mean(axis=1).sort_values(ascending=False).index, order]  # drawn upwards
    honest = rows[rows["write_access"] == 0]
    clean = None
    if len(honest):
        means = cells.per_seed(honest, metric, statistic, ["write_access"])["value"]
        clean = float(means.mean())
    chance = versus.chance(rows) if metric == "accuracy" else None
    figure, top = style.canvas(*versus.size(table), _caption(rows, metric, statistic), captioned)
    ax = top.subplots()
    values = table.to_numpy(dtype=float)
    ends = [np.nanmin(values), np.nanmax(values), *(level for level in (clean, chance) if level is not None)]
    scale = Normalize(float(min(ends)), float(max(ends)))
    least = pd.DataFrame(values == np.nanmin(values, axis=0), table.index, table.columns)
    mesh = grid.draw_grid(ax, table, matplotlib.colormaps[COLOURS], scale, lambda v: f"{100 * v:.0f}", least)
    mesh.set_gid("rules")
    ax.set_xlabel("write access k, local budget b")
    colour_bar(top, [ax], ScalarMappable(scale, COLOURS), f"{cells.METRICS[metric]} (%)", clean, chance)
    return figure


def names(attacked: pd.DataFrame) -> pd.Series:
    """Each row's rule, with its goal, and when it decides where the rows differ in that."""
    found = versus.columns(attacked, "selection")
    if "schedule" in attacked and attacked["schedule"].nunique() > 1:
        found += ", " + attacked["schedule"].astype(str)
    if "last_rounds" in attacked and attacked["last_rounds"].nunique() > 1:
        last = attacked["last_rounds"].astype(int)
        found += np.where(last > 0, ", last " + last.astype(str), ", all along")
    return found


def _budgets(attacked: pd.DataFrame) -> pd.Series:
    return attacked["write_access"].map("{:g}".format) + ", " + attacked["local_budget"].map("{:g}".format)


def _caption(rows: pd.DataFrame, metric: str, statistic: str) -> str:
    parts = [
        f"{opening(cells.METRICS[metric])} (%) under every rule, the least of each budget bold",
        captions.setting(rows),
        captions.statistic_text(rows, statistic),
    ]
    if (rows.loc[rows["write_access"] > 0, "selection"] != chosen.RANDOM).all():
        parts.append("Random flips at the same budget are missing from these results")
    return captions.sentences([*parts, *captions.warnings(rows)])
