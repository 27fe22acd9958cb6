"""Rules of claims on how harm depends on access, budget and goal, and on spread and visibility: 4, 5, 6, 7 and 9.

Each takes the runs of one scale and the name of a statistic, and gives None where the runs it needs are absent.
"""

import itertools
from typing import Any

import numpy as np
import pandas as pd

from turncoat.reproduce.measures import (
    CELL,
    CHANCE,
    FEW,
    Estimate,
    Finding,
    attacked,
    difference,
    estimate,
    half_width,
    harmed,
    lies_in,
    pairs_of_equal_budget,
    percent,
    points_text,
    resampled,
    stays_within,
    usual,
    wide_of,
    with_interval,
)
from turncoat.reproduce.ratios import READINGS, ratios

WON = 0.8  # of the decided pairs
SMALL_ACCESS = 0.2
LITTLE = 0.05  # that b may matter at small k
GOAL_LITTLE = 0.02  # that the goals may differ at small k
STEP = 0.01  # a difference of harm that counts
LEAST_SPREAD = 0.005  # below half a point there is no spread that could have grown
SPREADS = {"mnist-01": (0.01, 0.04), "mnist": (0.05, 0.2)}  # "about 0.02" and "about 0.1"
GROWS_FROM, GROWTH = 0.1, 2.0
FACTOR = 1.5  # between a ratio and the paper's
NEAR_ONE = (0.95, 1.05)


def access_over_budget(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 4."""
    rows = harmed(attacked(usual(points, "mnist-01"), goal="untargeted"), statistic)
    pairs = pairs_of_equal_budget(rows)
    if not pairs:
        return None
    wide: Any = wide_of(rows["harm"], rows, CELL)
    found = [difference(wide[second], wide[first]) for first, second in pairs]
    won, lost = (
        sum(f.above and f.mean >= STEP for f in found),
        sum(f.below and f.mean <= -STEP for f in found),
    )
    wins = won >= WON * (won + lost) if won + lost else None
    parts: dict[str, bool | None] = {"it is about wider access at equal k·b": wins}
    text = f"wider access harms more in {won}, less in {lost} of {len(pairs)} pairs of equal k·b"
    small = [c for c in wide.columns if c[0] <= SMALL_ACCESS and (c[0], 1.0) in wide.columns and c[1] < 1]
    if small:
        apart = [difference(wide[c], wide[c[0], 1.0]) for c in small]
        parts[f"it is about b at k up to {SMALL_ACCESS:g}"] = stays_within(apart, LITTLE)
        most = max(abs(one.mean) for one in apart)
        text += f"; up to k = {SMALL_ACCESS:g}, b changes harm by at most {percent(most)} points"
    every = estimate(pd.concat([wide[s] - wide[f] for f, s in pairs], axis=1).dropna().mean(axis=1))
    return Finding(parts, text, every, min(f.seeds for f in found))


def monotone(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 5."""
    rows = harmed(attacked(usual(points, "mnist-01"), goal="untargeted"), statistic)
    wide: Any = wide_of(rows["harm"], rows, CELL)
    parts: dict[str, bool | None] = {}
    texts, seeds = [], []
    for axis, name in enumerate(("k", "b")):
        steps = _steps(list(wide.columns), axis)
        if not steps:
            continue
        found = [difference(wide[after], wide[before]) for before, after in steps]
        down = sum(f.below and f.mean <= -STEP for f in found)
        fewest = min(f.seeds for f in found)
        parts[f"it is about {name}"] = None if fewest < 2 else down <= CHANCE * len(found)
        texts.append(f"harm falls in {down} of {len(found)} steps of {name}")
        seeds.append(fewest)
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
    parts: dict[str, bool | None] = {}
    texts = []
    every: Estimate | None = None
    if wider:
        every = estimate(apart[wider].dropna().mean(axis=1))
        reversed_ = sum(estimate(apart[c]).above for c in wider)
        fails = every.above or reversed_ > CHANCE * len(wider)
        parts[f"k is {SMALL_ACCESS:g} or more"] = False if fails else True if every.below else None
        texts.append(
            f"from k = {SMALL_ACCESS:g} untargeted minus targeted accuracy {points_text(every)}, "
            f"targeted harms more in {reversed_} of {len(wider)} cells"
        )
    if small:
        found = [estimate(apart[c]) for c in small]
        parts[f"k is below {SMALL_ACCESS:g}"] = stays_within(found, GOAL_LITTLE)
        texts.append(f"below, they differ by at most {percent(max(abs(one.mean) for one in found))} points")
    return Finding(parts, "; ".join(texts), every, int(apart.count().min())) if parts else None


def spread(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 7."""
    parts: dict[str, bool | None] = {}
    texts, seeds = [], []
    for dataset, band in SPREADS.items():
        rows = attacked(usual(points, dataset))
        rows = rows[rows["local_budget"] == 1]
        wide: Any = wide_of(rows[f"accuracy.{statistic}"], rows, ["goal", "write_access"])
        if wide.empty or "untargeted" not in wide or len(wide.dropna()) < 2:
            continue
        own = wide["untargeted"].dropna(axis=1)
        found = resampled(own, _mean_std)
        enough = found.seeds >= FEW
        parts[f"size on {dataset}"] = lies_in(found, band) if enough else None
        texts.append(f"{dataset}: std {found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]")
        seeds.append(found.seeds)
        small, large = own.loc[:, own.columns <= GROWS_FROM], own.loc[:, own.columns > GROWS_FROM]
        if small.size and large.size:
            before, beyond = (_mean_std(part.to_numpy()) for part in (small, large))
            grows = beyond >= max(GROWTH * before, LEAST_SPREAD)
            parts[f"growth on {dataset}"] = grows if enough else None
            texts.append(f"{before:.3f} up to k = {GROWS_FROM:g}, {beyond:.3f} beyond")
        if "targeted" in wide:
            both = wide[["untargeted", "targeted"]].dropna(axis=1)
            half = both["untargeted"].shape[1]
            more = resampled(both, lambda v, h=half: _mean_std(v[:, :h]) - _mean_std(v[:, h:]))  # type: ignore[misc]
            parts[f"untargeted more on {dataset}"] = more.above if enough else None
            texts.append(f"untargeted minus targeted {more.mean:+.3f} [{more.low:+.3f}, {more.high:+.3f}]")
    return Finding(parts, "; ".join(texts), None, min(seeds)) if parts else None


def _mean_std(values: np.ndarray) -> float:
    return float(values.std(axis=0, ddof=1).mean())


def norm_ratio(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 9; it has no statistic of epochs."""
    rows = points[(points["workers"] > 0) & (points["selection"] != "random")]
    if not (rows["write_access"] > 0).any():
        return None
    readings: dict[str, list[bool | None]] = {}
    texts, seeds = [], []
    for row in ratios(rows).to_dict("records"):
        name, paper = f"{row['dataset']} {row['model']}", row["paper"]
        readings.setdefault(name, []).append(_fits(row))
        if row["hostile"] == 1:
            shown = with_interval(row["mean"], row["low"], row["high"], ".3g", row["seeds"])
            texts.append(f"{name} {shown} ({READINGS[row['reading']]}; paper {paper:.3g})")
        seeds.append(row["seeds"])
    parts = {name: _any(fits) for name, fits in readings.items()}
    return Finding(parts, "; ".join(texts), None, min(seeds))


def _fits(row: dict[Any, Any]) -> bool | None:
    """Whether a measured ratio is the paper's, in one reading."""
    if row["seeds"] < 2:
        return None
    if row["scale"] != "raw":
        return bool(NEAR_ONE[0] <= row["mean"] <= NEAR_ONE[1])
    stands_out = row["mean"] - half_width(row["std"], row["seeds"]) > 1
    return bool(stands_out and 1 / FACTOR <= row["mean"] / row["paper"] <= FACTOR)


def _any(found: list[bool | None]) -> bool | None:
    if True in found:
        return True
    return False if False in found else None
