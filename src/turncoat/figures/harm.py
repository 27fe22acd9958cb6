"""Is the optimised attack worth more than random flips? Harm of both at the same budget."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from turncoat import errors
from turncoat.analysis import pairs
from turncoat.figures import captions, cells, style
from turncoat.figures.cells import Runs
from turncoat.figures.difference import paired


def harm(
    curves: pd.DataFrame,
    *,
    metric: str = "accuracy",
    statistic: str = "tail",
    where: Mapping[str, object] | None = None,
    captioned: bool = True,
) -> Figure:
    """One point per cell: harm of random flips across, harm of the attack up, with 95 % intervals.

    Harm is the clean run's value minus the attacked one's, seed by seed. Above the diagonal the attack harms more.

    Raises:
        TurncoatError: for rows that cannot be drawn together, or without clean runs or random flips.
    """
    errors.choose(metric, cells.SHARES, "metric of harm")
    runs = cells.read(curves, where, metric)
    if runs.random.empty:
        raise errors.TurncoatError(
            "harm compares an attack with random flips at the same budget; run the cells with"
            " selection 'random' too"
        )
    points, counts = _points(runs, metric, statistic), _verdict(runs, metric, statistic)
    lead = f"Harm (clean minus attacked {cells.METRICS[metric]}) of {runs.attack} and of random flips"
    notes = [counts, captions.interval(runs, "Error bars")]
    figure, top = style.canvas(
        style.ONE_COLUMN, 2.35, captions.caption(lead, runs, statistic, notes), captioned
    )
    ax = top.subplots()
    _draw(ax, points)
    chance, clean = runs.value("chance"), cells.clean_value(runs, metric, statistic)
    if metric == "accuracy" and chance is not None and clean is not None:
        _chance_line(ax, clean - chance)
    ax.set_xlabel("harm of random flips")
    ax.set_ylabel(f"harm of {runs.attack}, same k and b")
    _legend(ax, points)
    return figure


def _points(runs: Runs, metric: str, statistic: str) -> pd.DataFrame:
    random = _harm(runs, runs.random, metric, statistic)
    parts = []
    for goal in runs.goals:
        own = _harm(runs, runs.of(goal), metric, statistic)
        parts.append(own.merge(random, on=cells.AXES, suffixes=("", "_random")).assign(goal=goal))
    found = pd.concat(parts, ignore_index=True)
    if found.empty:
        raise errors.TurncoatError("no cell of the attack has random flips at the same k and b beside it")
    return found


def _harm(runs: Runs, rows: pd.DataFrame, metric: str, statistic: str) -> pd.DataFrame:
    values = cells.per_seed(rows, metric, statistic)
    honest = cells.per_seed(runs.clean, metric, statistic, ["write_access"])
    more = pairs.differences(values, honest, [])
    if more.empty:
        raise errors.TurncoatError("harm needs the clean run of the same seed, and these results have none")
    return cells.over_seeds(more.assign(value=-more["value"]))


def _verdict(runs: Runs, metric: str, statistic: str) -> str:
    random = cells.per_seed(runs.random, metric, statistic)
    gaps = pd.concat(
        [paired(random, cells.per_seed(runs.of(goal), metric, statistic)) for goal in runs.goals]
    )
    more, less = (int(((gaps["sure"] == 1) & (sign * gaps["mean"] > 0)).sum()) for sign in (1, -1))
    return (
        f"Of {len(gaps)} cells, the attack surely harms more than random flips in {more} and less in {less}"
        f" (paired by seed, {captions.INTERVAL} leaves out 0); {len(gaps) - more - less} undecided"
    )


def _draw(ax: Axes, points: pd.DataFrame) -> None:
    colours = style.access_colours(points["write_access"].unique().tolist())
    for row in points.to_dict("records"):
        ax.errorbar(
            row["mean_random"],
            row["mean"],
            xerr=[[row["mean_random"] - row["low_random"]], [row["high_random"] - row["mean_random"]]],
            yerr=[[row["mean"] - row["low"]], [row["high"] - row["mean"]]],
            fmt=style.GOAL_MARKERS[row["goal"]],
            color=colours[row["write_access"]],
            markersize=4,
            elinewidth=0.6,
            markeredgecolor="white",
            markeredgewidth=0.3,
            gid=f"{row['goal']} k={row['write_access']:g} b={row['local_budget']:g}",
        )
    lows, highs = (points[[end, f"{end}_random"]].fillna(0.0).clip(-1, 1) for end in ("low", "high"))
    means = points[["mean", "mean_random"]]
    low = min(0.0, means.min().min(), lows.min().min())
    high = max(0.01, means.max().max(), highs.max().max())
    ends = (low - 0.04 * (high - low), high + 0.04 * (high - low))
    ax.plot(ends, ends, color="black", linewidth=0.7, zorder=1, gid="diagonal")
    ax.set_xlim(*ends)
    ax.set_ylim(*ends)
    ax.set_aspect("equal")


def _chance_line(ax: Axes, level: float) -> None:
    ax.axhline(level, color="black", linewidth=0.8, linestyle=style.CHANCE_DASHES, zorder=1, gid="chance")
    inside = ax.get_yaxis_transform()
    ax.text(0.3, level, "down to chance", transform=inside, va="bottom", size=6.5, color=style.GREY)


def _legend(ax: Axes, points: pd.DataFrame) -> None:
    accesses = sorted(points["write_access"].unique().tolist())
    colours = style.access_colours(accesses)
    handles = [
        Line2D([], [], color=colours[k], marker="s", linestyle="", label=f"k = {k:g}") for k in accesses
    ]
    for goal in points["goal"].unique():
        marker = style.GOAL_MARKERS[goal]
        handles.append(Line2D([], [], color=style.GREY, marker=marker, linestyle="", label=goal))
    handles.append(Line2D([], [], color="black", linewidth=0.7, label="equal harm"))
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1.0))
