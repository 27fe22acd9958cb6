"""Where goals differ, and where the attack differs from random flips (paper A, Figure 8; paper B, Figure 7)."""

from collections.abc import Mapping

import matplotlib
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from turncoat import errors
from turncoat.analysis import pairs
from turncoat.figures import captions, cells, grid, heatmap, style
from turncoat.figures.cells import Runs

COLOURS = "RdBu"


def difference(
    curves: pd.DataFrame,
    *,
    metric: str = "accuracy",
    statistic: str = "tail",
    where: Mapping[str, object] | None = None,
    captioned: bool = True,
) -> Figure:
    """Differences over write access and local budget, paired by seed, in percentage points.

    Panels: untargeted minus targeted, and the attack minus random flips per goal, whichever the rows allow.
    Bold where the difference is sure: its interval leaves out 0.

    Raises:
        TurncoatError: for rows that cannot be drawn together, or with nothing to compare.
    """
    errors.choose(metric, cells.SHARES, "metric of a heat map")
    runs = cells.read(curves, where, metric)
    compared = _compared(runs, metric, statistic)
    if not compared:
        raise errors.TurncoatError(
            "nothing to compare: the results hold neither both goals nor random flips at the same budget"
        )
    text = captions.caption(
        f"Difference of {cells.METRICS[metric]} (percentage points), paired by seed; below 0 the first harms more",
        runs,
        statistic,
        [captions.bold(runs)],
    )
    means = heatmap.align({name: grid.table_of(table) for name, table in compared.items()})
    bold = heatmap.align({name: grid.table_of(table, "sure") for name, table in compared.items()})
    return _draw(means, bold, text, captioned)


def _draw(
    means: dict[str, pd.DataFrame], bold: dict[str, pd.DataFrame], text: str, captioned: bool
) -> Figure:
    width, height, in_row = grid.panels(len(means), next(iter(means.values())).shape)
    figure, top = style.canvas(width, height, text, captioned)
    axes = grid.axes_for(top, len(means), in_row)
    widest = max(float(table.abs().max().max()) for table in means.values()) or 1.0
    scale = Normalize(-widest, widest)
    for ax, (title, table) in zip(axes, means.items(), strict=True):
        mesh = grid.draw_grid(ax, table, matplotlib.colormaps[COLOURS], scale, points, bold[title] == 1)
        mesh.set_gid(title)
        ax.set_title(title)
    grid.label_axes(axes, in_row)
    heatmap.colour_bar(top, axes, ScalarMappable(scale, COLOURS), "difference (points)")
    return figure


def points(value: float) -> str:
    """Signed percentage points with a true minus sign; what rounds to nothing has no sign."""
    whole = round(100 * value)
    return "0" if whole == 0 else f"{whole:+d}".replace("-", "−")


def paired(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Statistics over seeds of first minus second, for the cells and seeds that both have; ``sure`` is 1 or 0."""
    table = cells.over_seeds(pairs.differences(first, second, cells.AXES))
    return table.assign(sure=pairs.sure(table).astype(float))


def _compared(runs: Runs, metric: str, statistic: str) -> dict[str, pd.DataFrame]:
    values = {goal: cells.per_seed(runs.of(goal), metric, statistic) for goal in runs.goals}
    found = {}
    if len(values) == 2:
        found["untargeted − targeted"] = paired(values["untargeted"], values["targeted"])
    for goal in runs.goals if len(runs.random) else []:
        random = cells.per_seed(runs.random, metric, statistic)
        found[f"{runs.attack} {goal} − random"] = paired(values[goal], random)
    return {name: table for name, table in found.items() if len(table)}
