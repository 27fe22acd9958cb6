"""Accuracy over the global budget, one line per write access (paper B, Figures 5, 9, 12 to 19)."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from turncoat import errors
from turncoat.figures import captions, cells, lines, style
from turncoat.figures.cells import Runs

X_LABEL = "global budget k·b (share of all labels)"


def budget(
    curves: pd.DataFrame,
    *,
    metric: str = "accuracy",
    statistic: str = "tail",
    where: Mapping[str, object] | None = None,
    captioned: bool = True,
) -> Figure:
    """One panel per goal; random flips are thin dashed lines of the same colour, bands are 95 % intervals.

    Raises:
        TurncoatError: for rows that cannot be drawn together.
    """
    errors.choose(metric, cells.METRICS, "metric")
    runs = cells.read(curves, where, metric)
    lead = f"{cells.METRICS[metric].capitalize()} over the global budget, one line per write access k"
    notes = [] if runs.random.empty else ["Dashed: random flips at the same k and b"]
    text = captions.caption(lead, runs, statistic, [f"Bands: {captions.INTERVAL}", *notes])
    return draw_panels(runs, metric, statistic, "mean", cells.METRICS[metric], text, captioned)


def draw_panels(
    runs: Runs, metric: str, statistic: str, column: str, y_label: str, text: str, captioned: bool
) -> Figure:
    """One panel per goal, one line per write access, of any statistic over seeds."""
    goals = runs.goals
    accesses = sorted(runs.attacked["write_access"].unique().tolist())
    figure, top = style.canvas(
        style.ONE_COLUMN, 1.55 * len(goals) + 0.55 + 0.13 * (len(accesses) // 4), text, captioned
    )
    axes = top.subplots(len(goals), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for ax, goal in zip(axes, goals, strict=True):
        _draw_goal(ax, runs, goal, metric, statistic, column)
        ax.set_title(f"{goal} ({runs.attack})", loc="left")
        ax.set_ylabel(y_label)
    style.budget_axis(axes[0], cells.global_budget(runs.attacked).unique().tolist())
    chance = runs.value("chance") if metric == "accuracy" and column == "mean" else None
    for ax in axes:
        style.levels(ax, cells.clean_value(runs, metric, statistic, column), chance)
    axes[-1].set_xlabel(X_LABEL)
    names = [f"{k:g}" for k in accesses]
    lines.access_legend(top, accesses, names, "write access k", not runs.random.empty)
    return figure


def _draw_goal(ax: Axes, runs: Runs, goal: str, metric: str, statistic: str, column: str) -> None:
    accesses = sorted(runs.attacked["write_access"].unique().tolist())
    colours, markers = style.access_colours(accesses), style.access_markers(accesses)
    attacked = cells.over_seeds(cells.per_seed(runs.of(goal), metric, statistic))
    random = cells.over_seeds(cells.per_seed(runs.random, metric, statistic))
    for k in accesses:
        own = attacked[attacked["write_access"] == k].sort_values("global_budget")
        rival = random[random["write_access"] == k].sort_values("global_budget")
        if len(rival):
            lines.random_line(ax, "global_budget", rival, colours[k], f"{goal} k={k:g}", column)
        if len(own):
            lines.attack_line(ax, "global_budget", own, colours[k], markers[k], f"{goal} k={k:g}", column)
