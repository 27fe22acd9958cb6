"""Standard deviation over seeds (paper A, Figure 9; paper B, Figures 6 and 10)."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from turncoat import errors
from turncoat.figures import captions, cells, lines, style
from turncoat.figures.budget import draw_panels
from turncoat.figures.cells import Runs

OVER = ("write_access", "global_budget")


def spread(
    curves: pd.DataFrame,
    *,
    metric: str = "accuracy",
    statistic: str = "tail",
    where: Mapping[str, object] | None = None,
    over: str = "write_access",
    local_budget: float = 1.0,
    captioned: bool = True,
) -> Figure:
    """Over write access at one local budget, both goals in one panel; or over the global budget, all cells.

    Raises:
        TurncoatError: for rows that cannot be drawn together, a single seed, or a local budget that no cell has.
    """
    errors.choose(metric, cells.SHARES, "metric of a spread")
    errors.choose(over, OVER, "axis")
    runs = cells.read(curves, where, metric)
    if runs.attacked["seed"].nunique() < 2:
        raise errors.TurncoatError("a spread over seeds needs two seeds or more; these results hold one")
    lead = f"Standard deviation over seeds of the {cells.METRICS[metric]}"
    y_label = f"std of {cells.METRICS[metric]}"
    dashed = [] if runs.random.empty else ["Dashed: random flips at the same k and b"]
    if over == "global_budget":
        if local_budget != 1.0:
            raise errors.TurncoatError(
                f"local_budget={local_budget!r} does nothing over the global budget: leave it out"
            )
        text = captions.caption(f"{lead} over the global budget", runs, statistic, dashed)
        return draw_panels(runs, metric, statistic, "std", y_label, text, captioned)
    runs = _at(runs, local_budget)
    lead = f"{lead} over write access k at local budget b = {local_budget:g}"
    text = captions.caption(lead, runs, statistic, dashed)
    return _over_access(runs, metric, statistic, y_label, text, captioned)


def _over_access(runs: Runs, metric: str, statistic: str, y_label: str, text: str, captioned: bool) -> Figure:
    figure, top = style.canvas(style.ONE_COLUMN, 2.1, text, captioned)
    ax = top.subplots()
    _draw(ax, runs, metric, statistic)
    ax.set_ylabel(y_label)
    handles: list[Artist] = [
        Line2D(
            [],
            [],
            color=style.GOAL_COLOURS[goal],
            marker=style.GOAL_MARKERS[goal],
            label=f"{runs.attack}, {goal}",
        )
        for goal in runs.goals
    ]
    if len(runs.random):
        handles.append(lines.random_handle())
    lines.below(top, handles, style.ONE_COLUMN)
    return figure


def _draw(ax: Axes, runs: Runs, metric: str, statistic: str) -> None:
    parts = [(goal, runs.of(goal)) for goal in runs.goals]
    if len(runs.random):
        table = _table(runs.random, metric, statistic)
        lines.random_line(ax, "write_access", table, style.GREY, "spread", "std")
    for goal, rows in parts:
        colour, marker = style.GOAL_COLOURS[goal], style.GOAL_MARKERS[goal]
        lines.attack_line(ax, "write_access", _table(rows, metric, statistic), colour, marker, goal, "std")
    style.budget_axis(ax, runs.attacked["write_access"].unique().tolist())
    style.levels(ax, cells.clean_value(runs, metric, statistic, "std"), None)
    ax.set_xlabel("write access k (share of the data)")


def _table(rows: pd.DataFrame, metric: str, statistic: str) -> pd.DataFrame:
    return cells.over_seeds(cells.per_seed(rows, metric, statistic))


def _at(runs: Runs, local_budget: float) -> Runs:
    there = sorted(runs.attacked["local_budget"].unique().tolist())
    if local_budget not in there:
        known = ", ".join(f"{b:g}" for b in there)
        raise errors.TurncoatError(f"no results with local budget {local_budget!r} (there are: {known})")
    attacked = runs.attacked[runs.attacked["local_budget"] == local_budget]
    return Runs(runs.clean, attacked, runs.random[runs.random["local_budget"] == local_budget], runs.attack)
