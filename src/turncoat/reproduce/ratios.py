"""Norms of hostile over norms of honest gradients (paper B, Tables 3 and 4) as a table and as a picture."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from turncoat import errors
from turncoat.analysis.estimate import statistics
from turncoat.figures import captions, style
from turncoat.reproduce.measures import RANDOM
from turncoat.words import counted

READINGS = {
    "norm_ratio": "norm of the workers' mean gradients",
    "example_norm_ratio": "mean norm per example",
}
MARKERS = {"norm_ratio": "o", "example_norm_ratio": "s"}
WIDE = 3.0  # ratios beyond which the axis is logarithmic
BELOW = 0.3  # of a line, at which random flips stand
SETTING = ["dataset", "model", "scale", "hostile", "selection"]
# paper B, Tables 3 (normalised) and 4 (raw): (data set, model) to the ratio
NORMALISED = {
    ("cifar10", "logistic"): 1.004523,
    ("cifar10", "mlp"): 1.000400,
    ("mnist", "logistic"): 1.028216,
    ("mnist", "mlp"): 1.018608,
}
AS_THEY_ARE = {
    ("cifar10", "logistic"): 1.319266,
    ("cifar10", "mlp"): 1.333890,
    ("mnist", "logistic"): 7.306702,
    ("mnist", "mlp"): 232.278825,
}


def stated(dataset: str, model: str, scale: str) -> float | None:
    """The paper's ratio."""
    return (AS_THEY_ARE if scale == "raw" else NORMALISED).get((dataset, model))


def ratios(points: pd.DataFrame) -> pd.DataFrame:
    """One row per setting, rule and reading: the ratio's statistics over seeds, and the paper's.

    Raises:
        TurncoatError: if no federation with hostile workers is among the rows.
    """
    rows = points[(points["write_access"] > 0) & points["norm_ratio"].notna()]
    if rows.empty:
        raise errors.TurncoatError("no gradient norms: these results hold no federation with hostile workers")
    found = []
    for cell, group in rows.groupby(SETTING):
        flat: dict[str, Any] = dict(zip(SETTING, cell, strict=True))
        for reading in READINGS:
            paper = stated(flat["dataset"], flat["model"], flat["scale"])
            figures = statistics(group[reading])
            found.append(flat | {"reading": reading, "seeds": len(group), **figures, "paper": paper})
    return pd.DataFrame(found)


def ratio_figure(points: pd.DataFrame, captioned: bool = True) -> Figure:
    """One line per data set, model and number of hostile workers; a cross marks the paper's figure."""
    with style.applied():
        return _drawn(points, captioned)


def _drawn(points: pd.DataFrame, captioned: bool) -> Figure:
    table = ratios(points)
    settings = table[["dataset", "model", "hostile"]].drop_duplicates().to_numpy().tolist()[::-1]
    figure, top = style.canvas(style.ONE_COLUMN, 0.24 * len(settings) + 1.6, _caption(points), captioned)
    ax = top.subplots()
    for height, setting in enumerate(settings):
        rows = table[(table[["dataset", "model", "hostile"]] == setting).all(axis=1)]
        for row in rows.to_dict("records"):
            face = style.ORANGE if row["selection"] != RANDOM else "white"
            colour = style.ORANGE if row["selection"] != RANDOM else style.GREY
            y = height if row["selection"] != RANDOM else height - BELOW
            ax.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=0.8)
            ax.plot(row["mean"], y, MARKERS[row["reading"]], color=colour, markerfacecolor=face)
        paper = rows["paper"].iloc[0]
        if paper is not None:
            ax.plot(paper, height, "x", color="black", markersize=5)
    if table[["mean", "high"]].max().max() > WIDE:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.xaxis.set_minor_locator(NullLocator())
    ax.axvline(1, color=style.GREY, linewidth=0.8)
    ax.set_yticks(range(len(settings)), [f"{d}, {m} ({h})" for d, m, h in settings])
    ax.set_xlabel("norm, hostile / honest")
    handles = [
        Line2D([], [], linestyle="", marker=m, color=style.ORANGE, label=READINGS[r])
        for r, m in MARKERS.items()
    ]
    handles += [
        Line2D(
            [], [], linestyle="", marker="o", color=style.GREY, markerfacecolor="white", label="random flips"
        ),
        Line2D([], [], linestyle="", marker="x", color="black", label="paper"),
    ]
    top.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _caption(points: pd.DataFrame) -> str:
    first = points.iloc[0]
    counts = points.groupby([*SETTING, "write_access"])["seed"].nunique()
    least, most = int(counts.min()), int(counts.max())
    seeds = counted(most, "seed") if least == most else f"{least} to {most} seeds"
    parts = [
        f"Mean gradient norm of hostile workers over that of honest ones, {first['scale']} scale",
        f"{first['workers']} workers, {counted(int(first['epochs']), 'epoch')}, "
        f"batch {first['batch_size']} per worker, "
        f"learning rate {first['learning_rate']:g}, b = {points['local_budget'].max():g}, {seeds}",
        "In brackets: how many of them are hostile",
        "Mean over the run's rounds that are looked at",
        f"Lines: {captions.INTERVAL}" if most > 1 else "",
        captions.NO_INTERVAL if least < 2 else "",
        "Hollow: random flips of the same budget. Crosses: the paper's figures",
    ]
    return captions.sentences([*parts, *captions.warnings(points)])
