"""Accuracy over epochs at equal global budget (paper A, Figures 10 to 25; paper B, Figures 20 to 27)."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from turncoat import errors
from turncoat.analysis.breakdown import global_budget
from turncoat.figures import captions, cells, grid, lines, style
from turncoat.figures.cells import Runs
from turncoat.words import opening

IN_PANEL = 5  # more lines than that are split over two panels
IN_COLUMN = 3  # more panels than that stand in two columns


def epochs(
    curves: pd.DataFrame,
    *,
    metric: str = "accuracy",
    where: Mapping[str, object] | None = None,
    budgets: float | Sequence[float] | None = None,
    captioned: bool = True,
) -> Figure:
    """One line per pair (k, b) with the same k·b, random flips dashed; one panel per budget and goal.

    ``curves`` may hold statistics over seeds (columns ``mean``, ``low``, ``high``, ``seeds``) in place of the runs.

    ``budgets`` names the values of k·b; without it, the one that most pairs share. A run that stopped early
    keeps its last value.

    Raises:
        TurncoatError: for rows that cannot be drawn together, or a budget that no cell has.
    """
    errors.choose(metric, cells.METRICS, "metric")
    runs = cells.read(curves, where, metric)
    chosen = _chosen(runs, budgets)
    shown = [(budget, goal, ks) for budget in chosen for goal, ks in _panels(runs, budget)]
    accesses = sorted({k for _, _, ks in shown for k in ks})
    text = captions.caption(
        f"{opening(cells.METRICS[metric])} over epochs at k·b = {', '.join(f'{b:g}' for b in chosen)}",
        runs,
        None,
        [captions.interval(runs, "Lines: mean over seeds; bands")],
    )
    columns = 1 if len(shown) <= IN_COLUMN else 2
    width = style.ONE_COLUMN if columns == 1 else style.TWO_COLUMNS
    height = 1.4 * -(-len(shown) // columns) + 0.5 + 0.13 * (len(accesses) // (2 * columns))
    figure, top = style.canvas(width, height, text, captioned)
    axes = grid.axes_for(top, len(shown), columns, shared=True)
    last = int(runs.rows["epoch"].max())
    for ax, (budget, goal, ks) in zip(axes, shown, strict=True):
        _draw_panel(ax, runs, metric, (budget, goal, ks), accesses, last)
    _levels(axes, runs, metric, last)
    axes[0].set_xlim(1, max(last, 2))
    one = len(chosen) == 1
    names = [f"k = {k:g}, b = {chosen[0] / k:.3g}" if one else f"k = {k:g}" for k in accesses]
    title = None if one else "write access (b = budget / k)"
    lines.access_legend(top, accesses, names, title, not runs.random.empty, marked=False, width=width)
    return figure


def _chosen(runs: Runs, budgets: float | Sequence[float] | None) -> list[float]:
    pairs = runs.attacked[cells.AXES].drop_duplicates()
    there = global_budget(pairs).value_counts()
    if budgets is None:
        return [float(min(there[there == there.max()].index))]
    found = []
    for budget in errors.shares(budgets, "global budget"):
        share = round(budget, 6)
        if share not in there.index:
            known = ", ".join(f"{b:g}" for b in sorted(there.index)[:12])
            raise errors.TurncoatError(f"no results with global budget {budget!r} (there are: {known})")
        found.append(share)
    return found


def _panels(runs: Runs, budget: float) -> Iterator[tuple[str, list[float]]]:
    """Goals, each with its write accesses; many are split in two, small ones first."""
    for goal in runs.goals:
        rows = runs.of(goal)
        ks = sorted(rows[global_budget(rows) == budget]["write_access"].unique().tolist())
        half = -(-len(ks) // 2) if len(ks) > IN_PANEL else len(ks)
        for part in (ks[:half], ks[half:]):
            if part:
                yield goal, part


def _draw_panel(
    ax: Axes,
    runs: Runs,
    metric: str,
    panel: tuple[float, str, list[float]],
    accesses: Sequence[float],
    last: int,
) -> None:
    budget, goal, ks = panel
    colours = style.access_colours(accesses)
    for k in ks:
        for rows, is_random in ((runs.random, True), (runs.of(goal), False)):
            rows = rows[(rows["write_access"] == k) & (global_budget(rows) == budget)]
            if rows.empty:
                continue
            table = _over_epochs(rows, metric, last)
            if is_random:
                lines.random_line(ax, "epoch", table, colours[k], f"{goal} k={k:g} kb={budget:g}")
            else:
                lines.attack_line(ax, "epoch", table, colours[k], "", f"{goal} k={k:g} kb={budget:g}")
    ax.set_title(f"{goal} ({runs.attack}), k·b = {budget:g}", loc="left")
    ax.set_ylabel(cells.METRICS[metric])
    ax.set_xlabel("epoch")


def _levels(axes: Sequence[Axes], runs: Runs, metric: str, last: int) -> None:
    chance = runs.value("chance") if metric == "accuracy" else None
    clean = _over_epochs(runs.clean, metric, last) if len(runs.clean) else None
    for ax in axes:
        ax.label_outer()
        style.levels(ax, None, chance)
        if clean is not None:
            ax.plot(clean["epoch"], clean["mean"], color=style.GREY, linewidth=0.8, zorder=1, gid="clean")
            style.name_end(ax, float(clean["mean"].iloc[-1]), "clean")
        if metric in cells.SHARES:
            style.within_shares(ax)


def _over_epochs(rows: pd.DataFrame, metric: str, last: int) -> pd.DataFrame:
    if "seeds" in rows:  # they are statistics over seeds already
        return rows.sort_values("epoch")
    wide = rows.pivot(index="epoch", columns="seed", values=metric).reindex(range(1, last + 1)).ffill()
    values = wide.reset_index().melt("epoch", value_name="value")
    return cells.over_seeds(values, ["epoch"])
