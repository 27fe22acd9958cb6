"""Can the attacker be told apart? Gradient norms and cosines of hostile and honest workers (paper B, Appendix E)."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from sklearn.metrics import roc_auc_score

from turncoat import errors
from turncoat.figures import captions, cells, style

COLUMNS = ("round", "worker", "hostile", "norm", "cosine")
SIDES = (("honest", style.BLUE, ""), ("hostile", style.ORANGE, "////"))
BINS = 30


def visibility(
    messages: pd.DataFrame,
    *,
    where: Mapping[str, object] | None = None,
    captioned: bool = True,
) -> Figure:
    """Distributions of the gradient norm and of the cosine to the honest mean; ratio and ROC-AUC in the titles.

    ``messages`` has one row per round and worker: ``round``, ``worker``, ``hostile`` (true or false), ``norm``
    (Euclidean norm of what the worker sent), ``cosine`` (between it and the mean of what honest workers sent in
    that round); and, if they are known, ``seed`` and the columns of the setting. The ratio is the hostile mean norm
    over the honest one. An AUC of 0.5 is blind guessing, 1 gives every attacker away: by a larger norm, by a
    smaller cosine; below 0.5 the opposite sign tells them apart.

    Raises:
        TurncoatError: for missing columns, numbers that are not finite, only one kind of worker, or mixed settings.
    """
    rows = _checked(messages, where)
    hostile = rows["hostile"].astype(bool).to_numpy()
    norm, cosine = (rows[c].to_numpy(dtype=float) for c in ("norm", "cosine"))
    figure, top = style.canvas(style.ONE_COLUMN, 3.1, _caption(rows, hostile), captioned)
    axes = top.subplots(2, 1)
    honest_mean = norm[~hostile].mean()
    ratio = f"{norm[hostile].mean() / honest_mean:.3g}" if honest_mean > 0 else "∞"
    _histogram(axes[0], norm, hostile, spans_orders=True)
    axes[0].set_title(f"norm ratio {ratio}, AUC {roc_auc_score(hostile, norm):.2f}", loc="left")
    axes[0].set_xlabel("gradient norm of a worker")
    _histogram(axes[1], cosine, hostile)
    axes[1].set_title(f"AUC {roc_auc_score(hostile, -cosine):.2f}", loc="left")
    axes[1].set_xlabel("cosine to the mean of honest workers")
    top.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _checked(messages: pd.DataFrame, where: Mapping[str, object] | None) -> pd.DataFrame:
    cells.need(messages, COLUMNS)
    rows = cells.keep(messages, where)
    settings = [c for c in (*cells.SETTING, *cells.FEDERATION, *cells.CELL, *cells.HOW) if c in rows]
    several = {c: sorted(rows[c].dropna().unique().tolist(), key=str) for c in settings}
    if several := {c: values for c, values in several.items() if len(values) > 1}:
        raise cells.mixed(several)
    if not np.isfinite(rows[["norm", "cosine"]].to_numpy(dtype=float)).all():
        raise errors.TurncoatError("cannot draw: some norms or cosines are not finite numbers")
    if rows["hostile"].astype(bool).nunique() < 2:
        raise errors.TurncoatError(
            "visibility compares hostile with honest workers; these rows hold only one kind"
        )
    return rows


def _histogram(ax: Axes, values: np.ndarray, hostile: np.ndarray, spans_orders: bool = False) -> None:
    low, high = float(values.min()), float(values.max())
    if spans_orders and low > 0 and high / low > 30:
        edges = np.geomspace(low, high, BINS + 1)
        ax.set_xscale("log")
    else:
        wide = (high - low) or max(abs(high), 1.0) * 0.01
        edges = np.linspace(low - 0.01 * wide, high + 0.01 * wide, BINS + 1)
    for (name, colour, hatch), chosen in zip(SIDES, (~hostile, hostile), strict=True):
        share = np.full(int(chosen.sum()), 1 / chosen.sum())
        ax.hist(
            values[chosen],
            bins=edges.tolist(),
            weights=share,
            histtype="stepfilled",
            facecolor=(colour, 0.25),
            edgecolor=colour,
            hatch=hatch,
            linewidth=1.0,
            label=f"{name} workers",
            gid=name,
        )
        ax.axvline(float(values[chosen].mean()), color=colour, linewidth=0.9, linestyle=style.DASHED)
    ax.set_ylabel("share of messages")
    ax.yaxis.set_minor_locator(NullLocator())


def _caption(rows: pd.DataFrame, hostile: np.ndarray) -> str:
    rounds, seeds = rows["round"].nunique(), rows["seed"].nunique() if "seed" in rows else None
    parts = [
        "Gradient norm of hostile and honest workers, and cosine of what they send to the mean of honest workers",
        captions.setting(rows) if {"dataset", "model", "epochs"} & set(rows.columns) else "",
        f"{int(hostile.sum())} hostile and {int((~hostile).sum())} honest messages in {rounds} rounds"
        + (f", {seeds} seed{'s' if seeds > 1 else ''}" if seeds else ""),
        "Vertical lines: means. AUC: how well a larger norm, or a smaller cosine, tells hostile from honest"
        " (0.5: not at all)",
    ]
    if "selection" in rows:
        parts.insert(2, f"Attack: {rows['selection'].iloc[0]}")
    return captions.sentences([*parts, *captions.warnings(rows)])
