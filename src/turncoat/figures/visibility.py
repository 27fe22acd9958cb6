"""Can the attacker be told apart? Gradient norms and cosines of hostile and honest workers (paper B, Appendix E)."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from turncoat import errors
from turncoat.analysis.estimate import estimate
from turncoat.figures import captions, chosen, style
from turncoat.words import counted

COLUMNS = ("round", "worker", "is_hostile", "norm", "cosine")
SIDES = (("honest", style.BLUE, ""), ("hostile", style.ORANGE, "////"))
BINS = 30


def visibility(
    messages: pd.DataFrame,
    *,
    where: Mapping[str, object] | None = None,
    captioned: bool = True,
) -> Figure:
    """Distributions of the gradient norm and of the cosine to the honest mean; ratio and ROC-AUC in the titles.

    ``messages`` has one row per round and worker: ``round``, ``worker``, ``is_hostile`` (true or false),
    ``norm`` (Euclidean norm of what the worker sent), ``cosine`` (between it and the mean of what the other
    honest workers sent in that round); and, if they are known, ``seed`` and the columns of the setting.
    ``Results.visibility`` makes such a frame. The ratio is the hostile mean norm over the honest one. An AUC
    of 0.5 is blind guessing, 1 gives every attacker away, whichever way the sign points. Ratio and AUC are
    means over seeds. Messages that are not finite are left out.

    Raises:
        TurncoatError: for missing columns, only one kind of worker, or mixed settings.
    """
    rows, lost = _checked(messages, where)
    hostile = rows["is_hostile"].to_numpy(dtype=bool)
    figure, top = style.canvas(style.ONE_COLUMN, 3.1, _caption(rows, hostile, lost), captioned)
    axes = top.subplots(2, 1)
    runs = [run for _, run in rows.groupby("seed")] if "seed" in rows else [rows]
    _histogram(axes[0], rows["norm"].to_numpy(dtype=float), hostile, spans_orders=True)
    ratio = f"{estimate(map(_ratio, runs)).mean:.3g}".replace("inf", "∞")
    axes[0].set_title(f"norm: ratio hostile / honest {ratio}, AUC {_auc(runs, 'norm'):.3f}", loc="left")
    axes[0].set_xlabel("gradient norm of a worker")
    _histogram(axes[1], rows["cosine"].to_numpy(dtype=float), hostile)
    axes[1].set_title(f"cosine: AUC {_auc(runs, 'cosine'):.3f}", loc="left")
    axes[1].set_xlabel("cosine to the mean of honest workers")
    top.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _ratio(run: pd.DataFrame) -> float:
    hostile = run["is_hostile"].astype(bool)
    honest = float(run["norm"][~hostile].mean())
    return float(run["norm"][hostile].mean()) / honest if honest > 0 else float("inf")


def _auc(runs: Sequence[pd.DataFrame], sign: str) -> float:
    from sklearn.metrics import roc_auc_score

    areas = [float(roc_auc_score(run["is_hostile"].astype(bool), run[sign])) for run in runs]
    return estimate(max(area, 1 - area) for area in areas).mean


def _checked(messages: pd.DataFrame, where: Mapping[str, object] | None) -> tuple[pd.DataFrame, int]:
    """The rows to draw, and how many messages were left out because they are not finite."""
    chosen.need(messages, COLUMNS)
    rows = chosen.keep(messages, where, compared=False)
    if "write_access" in rows and (rows["write_access"] > 0).any():
        rows = rows[rows["write_access"] > 0]
    settings = [c for c in (*chosen.SETTING, *chosen.FEDERATION, *chosen.CELL, *chosen.HOW) if c in rows]
    several = {c: sorted(rows[c].dropna().unique().tolist(), key=str) for c in settings}
    if several := {c: values for c, values in several.items() if len(values) > 1}:
        raise chosen.mixed(several)
    good = np.isfinite(rows[["norm", "cosine"]].to_numpy(dtype=float)).all(1)
    kinds = (
        rows[good].groupby("seed")["is_hostile"]
        if "seed" in rows
        else rows[good].groupby(lambda _: 0)["is_hostile"]
    )
    if not good.any() or (kinds.nunique() < 2).any():
        raise errors.TurncoatError(
            "visibility compares hostile with honest workers; these rows hold finite messages of only one kind"
        )
    return rows[good], int((~good).sum())


def _histogram(ax: Axes, values: np.ndarray, hostile: np.ndarray, spans_orders: bool = False) -> None:
    low, high = float(values.min()), float(values.max())
    if spans_orders and low > 0 and high / low > 30:
        edges = np.geomspace(low, high, BINS + 1)
        ax.set_xscale("log")
    else:
        edge = 0.0 if high > low else 0.01 * max(abs(high), 1.0)
        edges = np.linspace(low - edge, high + edge, BINS + 1)
    for (name, colour, hatch), side in zip(SIDES, (~hostile, hostile), strict=True):
        share = np.full(int(side.sum()), 1 / side.sum())
        ax.hist(
            values[side],
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
        ax.axvline(float(values[side].mean()), color=colour, linewidth=0.9, linestyle=style.DASHED)
    ax.set_ylabel("share of messages")
    ax.yaxis.set_minor_locator(NullLocator())


def _caption(rows: pd.DataFrame, hostile: np.ndarray, lost: int) -> str:
    rounds, seeds = rows["round"].nunique(), rows["seed"].nunique() if "seed" in rows else None
    parts = [
        "Gradient norm of hostile and honest workers, and cosine of what they send to the mean of honest workers",
        captions.setting(rows) if {"dataset", "model", "epochs"} & set(rows.columns) else "",
        f"{int(hostile.sum())} hostile and {int((~hostile).sum())} honest messages in {rounds} rounds"
        + (f", {counted(seeds, 'seed')}" if seeds else ""),
        f"{lost} messages that are not finite are left out" if lost else "",
        "Vertical lines: means. AUC: how well norm or cosine alone tells hostile from honest, 0.5 not at all",
    ]
    if "selection" in rows:
        parts.insert(2, f"Attack: {rows['selection'].iloc[0]}")
    return captions.sentences([*parts, *captions.warnings(rows)])
