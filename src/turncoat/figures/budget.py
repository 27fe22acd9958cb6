"""Accuracy over the global budget, one line per write access (paper B, Figures 5, 9, 12 to 19)."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from turncoat import errors
from turncoat.analysis.breakdown import global_budget
from turncoat.figures import captions, cells, lines, style
from turncoat.figures.cells import Runs
from turncoat.words import opening

X_LABEL = "global budget k·b (share of all labels)"
FEWEST = 2  # lone cells that make a line together
JOINED_MARKER = "h"


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
    lead = f"{opening(cells.METRICS[metric])} over the global budget, one line per write access k"
    notes = [] if runs.random.empty else ["Dashed: random flips at the same k and b"]
    text = captions.caption(lead, runs, statistic, [captions.interval(runs, "Bands"), *notes])
    return draw_panels(runs, metric, statistic, "mean", cells.METRICS[metric], text, captioned)


def draw_panels(
    runs: Runs, metric: str, statistic: str, column: str, y_label: str, text: str, captioned: bool
) -> Figure:
    """One panel per goal, one line per write access, of any statistic over seeds."""
    goals = runs.goals
    accesses, joined = grouped(runs.attacked)
    figure, top = style.canvas(
        style.ONE_COLUMN, 1.55 * len(goals) + 0.55 + 0.13 * (len(accesses) // 4), text, captioned
    )
    axes = top.subplots(len(goals), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for ax, goal in zip(axes, goals, strict=True):
        _draw_goal(ax, runs, goal, metric, statistic, column)
        ax.set_title(f"{goal} ({runs.attack})", loc="left")
        ax.set_ylabel(y_label)
    style.budget_axis(axes[0], global_budget(runs.attacked).unique().tolist())
    chance = runs.value("chance") if metric == "accuracy" and column == "mean" else None
    for ax in axes:
        style.levels(ax, cells.clean_value(runs, metric, statistic, column), chance)
        if metric in cells.SHARES:
            style.within_shares(ax)
    axes[-1].set_xlabel(X_LABEL)
    names = [f"{k:g}" for k in accesses]
    others = [
        Line2D([], [], color=colour, marker=JOINED_MARKER, label=f"any, at b = {b:g}")
        for b, colour in _joined_colours(joined).items()
    ]
    lines.access_legend(top, accesses, names, "write access k", not runs.random.empty, others=others)
    return figure


def grouped(attacked: pd.DataFrame) -> tuple[list[float], list[float]]:
    """Write accesses that have a line each, and local budgets along which the lone cells of others are joined.

    A write access with a single cell makes no line; where ``FEWEST`` of them share a local budget, all cells of
    that budget are one line.
    """
    pairs = attacked[cells.AXES].drop_duplicates()
    counts = pairs["write_access"].value_counts()
    lone = pairs[pairs["write_access"].map(counts) == 1]
    shared = lone["local_budget"].value_counts()
    joined = sorted(float(b) for b in shared[shared >= FEWEST].index)
    left = set(lone[lone["local_budget"].isin(joined)]["write_access"])
    return sorted(float(k) for k in set(pairs["write_access"]) - left), joined


def _joined_colours(joined: Sequence[float]) -> dict[float, str]:
    return dict(zip(joined, itertools.cycle((style.ORANGE, style.BLUE, style.GREEN)), strict=False))


def _draw_goal(ax: Axes, runs: Runs, goal: str, metric: str, statistic: str, column: str) -> None:
    accesses, joined = grouped(runs.attacked)
    colours, markers = style.access_colours(accesses), style.access_markers(accesses)
    attacked = cells.over_seeds(cells.per_seed(runs.of(goal), metric, statistic))
    random = cells.over_seeds(cells.per_seed(runs.random, metric, statistic))
    drawn: list[tuple[str, float, Any, str]] = [("write_access", k, colours[k], markers[k]) for k in accesses]
    drawn += [("local_budget", b, colour, JOINED_MARKER) for b, colour in _joined_colours(joined).items()]
    for axis, value, colour, marker in drawn:
        own = attacked[attacked[axis] == value].sort_values("global_budget")
        rival = random[random[axis] == value].sort_values("global_budget")
        gid = f"{goal} {'k' if axis == 'write_access' else 'b'}={value:g}"
        if len(rival):
            lines.random_line(ax, "global_budget", rival, colour, gid, column)
        if len(own):
            lines.attack_line(ax, "global_budget", own, colour, marker, gid, column)
