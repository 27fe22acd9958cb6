"""Rules of claims on how harm depends on access, budget and goal, and on spread and visibility: 4, 5, 6, 7 and 9.

Each takes the runs of one scale and the name of a statistic, and gives None where the runs it needs are absent.
"""

import itertools
from typing import Any

import numpy as np
import pandas as pd

from turncoat.reproduce.measures import (
    CELL,
    Estimate,
    Finding,
    attacked,
    difference,
    estimate,
    harm,
    pairs_of_equal_budget,
    percent,
    points_text,
    resampled,
    usual,
    wide_of,
)
from turncoat.reproduce.ratios import READINGS, ratios

WON = 0.8  # of the decided pairs
SMALL_ACCESS = 0.2
LITTLE = 0.05  # that b may matter at small k
GOAL_LITTLE = 0.02  # that the goals may differ at small k
VIOLATIONS = 0.05  # of the steps of a grid
STEP = 0.01  # a fall of harm that counts
SPREADS = {"mnist-01": (0.01, 0.04), "mnist": (0.05, 0.2)}  # "about 0.02" and "about 0.1"
GROWS_FROM, GROWTH = 0.1, 2.0
FACTOR = 1.5  # between a ratio and the paper's
NEAR_ONE = (0.95, 1.05)


def access_over_budget(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 4."""
    rows = attacked(usual(points, "mnist-01"), goal="untargeted")
    pairs = pairs_of_equal_budget(rows)
    if not pairs:
        return None
    wide: Any = wide_of(harm(rows, statistic), rows, CELL)
    found = [difference(wide[second], wide[first]) for first, second in pairs]
    won, lost = sum(f.above for f in found), sum(f.below for f in found)
    first = won + lost > 0 and won >= WON * (won + lost)
    small = [c for c in wide.columns if c[0] <= SMALL_ACCESS and (c[0], 1.0) in wide.columns and c[1] < 1]
    matters = max((abs(difference(wide[c], wide[c[0], 1.0]).mean) for c in small), default=float("nan"))
    parts = {"it is about wider access at equal k·b": first}
    text = f"wider access harms more in {won}, less in {lost} of {len(pairs)} pairs of equal k·b"
    if small:
        parts[f"it is about b at k up to {SMALL_ACCESS:g}"] = matters < LITTLE
        text += f"; up to k = {SMALL_ACCESS:g}, b changes harm by at most {percent(matters)} points"
    every = estimate(pd.concat([wide[s] - wide[f] for f, s in pairs], axis=1).mean(axis=1))
    return Finding(parts, text, every, min(f.seeds for f in found))


def monotone(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 5."""
    rows = attacked(usual(points, "mnist-01"), goal="untargeted")
    wide: Any = wide_of(harm(rows, statistic), rows, CELL)
    parts, texts, seeds = {}, [], []
    for axis, name in enumerate(("k", "b")):
        steps = _steps(list(wide.columns), axis)
        if not steps:
            continue
        found = [difference(wide[after], wide[before]) for before, after in steps]
        down = sum(f.below and f.mean < -STEP for f in found)
        parts[f"it is about {name}"] = down <= VIOLATIONS * len(found)
        texts.append(f"harm falls in {down} of {len(found)} steps of {name}")
        seeds += [f.seeds for f in found]
    return Finding(parts, "; ".join(texts), None, min(seeds)) if parts else None


def _steps(
    cells: list[tuple[float, float]], axis: int
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Neighbouring cells along one axis, on lines with three cells or more."""
    found = []
    for fixed in sorted({cell[1 - axis] for cell in cells}):
        line = sorted(cell for cell in cells if cell[1 - axis] == fixed)
        if len(line) >= 3:
            found += list(itertools.pairwise(line))
    return found


def goals(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 6."""
    rows = attacked(usual(points, "mnist-01"))
    wide: Any = wide_of(rows[f"accuracy.{statistic}"], rows, ["goal", *CELL])
    if wide.empty or not {"untargeted", "targeted"} <= set(wide.columns.get_level_values(0)):
        return None
    apart = (wide["untargeted"] - wide["targeted"]).dropna(axis=1, how="all")
    wider = [c for c in apart.columns if c[0] >= SMALL_ACCESS]
    small = [c for c in apart.columns if c[0] < SMALL_ACCESS]
    parts, texts = {}, []
    every: Estimate | None = None
    if wider:
        every = estimate(apart[wider].mean(axis=1))
        reversed_ = sum(estimate(apart[c]).above for c in wider)
        parts[f"k is {SMALL_ACCESS:g} or more"] = every.below and reversed_ <= VIOLATIONS * len(wider)
        texts.append(
            f"from k = {SMALL_ACCESS:g} untargeted minus targeted accuracy {points_text(every)}, "
            f"targeted harms more in {reversed_} of {len(wider)} cells"
        )
    if small:
        most = max(abs(float(apart[c].mean())) for c in small)
        parts[f"k is below {SMALL_ACCESS:g}"] = most < GOAL_LITTLE
        texts.append(f"below, they differ by at most {percent(most)} points")
    return Finding(parts, "; ".join(texts), every, int(apart.count().min())) if parts else None


def spread(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 7."""
    parts, texts, seeds = {}, [], []
    for dataset, (low, high) in SPREADS.items():
        rows = attacked(usual(points, dataset))
        rows = rows[rows["local_budget"] == 1]
        wide: Any = wide_of(rows[f"accuracy.{statistic}"], rows, ["goal", "write_access"])
        if wide.empty or "untargeted" not in wide or len(wide.dropna()) < 2:
            continue
        own = wide["untargeted"].dropna(axis=1)
        found = resampled(own, _mean_std)
        parts[f"size on {dataset}"] = found.low <= high and found.high >= low
        texts.append(f"{dataset}: std {found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]")
        seeds.append(found.seeds)
        small, large = (
            own.loc[:, mask].to_numpy() for mask in (own.columns <= GROWS_FROM, own.columns > GROWS_FROM)
        )
        if small.size and large.size:
            parts[f"growth on {dataset}"] = _mean_std(large) >= GROWTH * _mean_std(small)
            texts.append(f"{_mean_std(small):.3f} up to k = {GROWS_FROM:g}, {_mean_std(large):.3f} beyond")
        if "targeted" in wide:
            both = wide[["untargeted", "targeted"]].dropna(axis=1)
            half = both["untargeted"].shape[1]
            more = resampled(both, lambda v, h=half: _mean_std(v[:, :h]) - _mean_std(v[:, h:]))  # type: ignore[misc]
            parts[f"untargeted more on {dataset}"] = more.above
            texts.append(f"untargeted minus targeted {more.mean:+.3f} [{more.low:+.3f}, {more.high:+.3f}]")
    return Finding(parts, "; ".join(texts), None, min(seeds)) if parts else None


def _mean_std(values: np.ndarray) -> float:
    return float(values.std(axis=0, ddof=1).mean())


def norm_ratio(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 9; it has no statistic of epochs."""
    rows = points[(points["workers"] > 0) & (points["selection"] != "random")]
    if not (rows["write_access"] > 0).any():
        return None
    parts: dict[str, bool] = {}
    texts, seeds = [], []
    for row in ratios(rows).to_dict("records"):
        paper, mean = row["paper"], row["mean"]
        if row["scale"] == "raw":
            fits = paper is not None and 1 / FACTOR <= mean / paper <= FACTOR
        else:
            fits = NEAR_ONE[0] <= mean <= NEAR_ONE[1]
        name = f"{row['dataset']} {row['model']}"
        parts[name] = parts.get(name, False) or fits
        if row["hostile"] == 1:
            reading = READINGS[row["reading"]]
            texts.append(
                f"{name} {mean:.3g} [{row['low']:.3g}, {row['high']:.3g}] ({reading}; paper {paper:.3g})"
            )
        seeds.append(row["seeds"])
    return Finding(parts, "; ".join(texts), None, min(seeds))
