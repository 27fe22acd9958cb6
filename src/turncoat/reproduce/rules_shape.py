"""Rules of claims on how harm depends on access, budget and goal, and on spread and visibility: 4, 5, 6, 7 and 9.

Each takes the runs of one scale and the name of a statistic, and gives None where the runs it needs are absent.
"""

import itertools
from typing import Any, cast

import numpy as np
import pandas as pd

from turncoat.reproduce.measures import (
    CELL,
    CHANCE,
    DEEP,
    FEW,
    HALF,
    POINT,
    PRINTED,
    RANDOM,
    Estimate,
    Finding,
    attacked,
    complete,
    difference,
    estimate,
    harmed,
    jackknifed,
    lies_in,
    pairs_of_equal_budget,
    percent,
    points_text,
    stays_within,
    usual,
    wide_of,
    with_interval,
)
from turncoat.reproduce.ratios import READINGS, stated

WON = 0.8  # of the decided pairs
SETTINGS = (("mnist-01", "logistic"), ("mnist", "logistic"), *DEEP)
SMALL_ACCESS = 0.2
LITTLE = 0.05  # that b may matter at small k
GOAL_LITTLE = 0.02  # that the goals may differ at small k
LEAST_SPREAD = 0.005  # half a point: less is no spread, and no difference between two
SPREADS = {"mnist-01": (0.01, 0.04), "mnist": (0.05, 0.2)}  # "about 0.02" and "about 0.1"
GROWS_FROM, GROWTH = 0.1, 2.0
FACTOR = 1.5  # between a ratio and the paper's
NEAR_ONE = (0.95, 1.05)


def access_over_budget(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 4."""
    parts: dict[str, bool | None] = {}
    texts, seeds = [], []
    first: Estimate | None = None
    for dataset, model in SETTINGS:
        rows = harmed(attacked(usual(points, dataset, model), goal="untargeted"), statistic)
        pairs = pairs_of_equal_budget(rows)
        if not pairs:
            continue
        wide: Any = wide_of(rows["harm"], rows, CELL)
        more = [(wide[second] - wide[first]).dropna() for first, second in pairs]
        found = [estimate(one) for one in more]
        won = sum(f.above and f.mean >= POINT for f in found)
        lost = sum(f.below and f.mean <= -POINT for f in found)
        wins = won >= WON * (won + lost) and won > CHANCE * len(pairs)
        name = f"{dataset} {model}"
        parts[f"wider access on {name}"] = True if wins else False if lost > CHANCE * len(pairs) else None
        every = estimate(complete(pd.concat(more, axis=1)).mean(axis=1))
        first = first or every
        text = f"{name}: wider access costs {points_text(every)} more on average over {len(pairs)} pairs of equal k·b"
        texts.append(f"{text}, surely more in {won}, less in {lost}")
        seeds.append(min(f.seeds for f in found))
        small = [c for c in wide.columns if c[0] <= SMALL_ACCESS and (c[0], 1.0) in wide.columns and c[1] < 1]
        if small:
            apart = [difference(wide[c], wide[c[0], 1.0]) for c in small]
            parts[f"little effect of b at k up to {SMALL_ACCESS:g} on {name}"] = stays_within(apart, LITTLE)
            most = max(abs(one.mean) for one in apart)
            texts[-1] += f"; up to k = {SMALL_ACCESS:g}, b changes harm by at most {percent(most)} points"
    return Finding(parts, "; ".join(texts), first, min(seeds)) if parts else None


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
        more = [(wide[after] - wide[before]).dropna() for before, after in steps]
        found = [estimate(one) for one in more]
        down = sum(f.below and f.mean <= -POINT for f in found)
        kept = sum(f.sure_low > -POINT for f in found)
        rises = True if kept >= (1 - CHANCE) * len(found) else None
        parts[f"growth in {name}"] = False if down > CHANCE * len(found) else rises
        every = estimate(complete(pd.concat(more, axis=1)).mean(axis=1))
        texts.append(
            f"{len(found)} steps of {name}: {points_text(every)} on average, surely down in {down}; "
            f"a fall of a point is excluded in {kept}"
        )
        seeds.append(min(f.seeds for f in found))
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
    """Claim 6: from half of the labels on the target itself is no longer right anywhere, so these cells stand apart."""
    rows = attacked(usual(points, "mnist-01"))
    wide: Any = wide_of(rows[f"accuracy.{statistic}"], rows, ["goal", *CELL])
    if wide.empty or not {"untargeted", "targeted"} <= set(wide.columns.get_level_values(0)):
        return None
    apart = (wide["untargeted"] - wide["targeted"]).dropna(axis=1, how="all")
    flipped = {cell: cell[0] * cell[1] for cell in apart.columns}
    groups = {
        f"k from {SMALL_ACCESS:g}, k·b below half": [
            c for c in apart.columns if c[0] >= SMALL_ACCESS and flipped[c] < HALF
        ],
        "k·b from half on": [c for c in apart.columns if c[0] >= SMALL_ACCESS and flipped[c] >= HALF],
    }
    parts: dict[str, bool | None] = {}
    texts = []
    first: Estimate | None = None
    for name, cells in groups.items():
        if not cells:
            continue
        found = [estimate(apart[c]) for c in cells]
        every = estimate(complete(apart[cells]).mean(axis=1))
        first = first or every
        more = sum(one.above and one.mean >= POINT for one in found)
        fails = every.sure_low > POINT or more > CHANCE * len(cells)
        parts[name] = False if fails else True if every.sure_high < POINT else None
        texts.append(
            f"{name}: untargeted minus targeted accuracy {points_text(every)}, "
            f"targeted surely harms more, by a point, in {more} of {len(cells)} cells"
        )
    small = [c for c in apart.columns if c[0] < SMALL_ACCESS]
    if small:
        found = [estimate(apart[c]) for c in small]
        parts[f"k below {SMALL_ACCESS:g}"] = stays_within(found, GOAL_LITTLE)
        texts.append(
            f"k below {SMALL_ACCESS:g}: they differ by at most {percent(max(abs(one.mean) for one in found))} points"
        )
    return Finding(parts, "; ".join(texts), first, int(apart.count().min())) if parts else None


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
        found = jackknifed(own, _mean_std)
        enough = found.seeds >= FEW
        parts[f"size on {dataset}"] = lies_in(found, band) if enough else None
        texts.append(f"{dataset}: std {with_interval(found, '.3f')}")
        seeds.append(found.seeds)
        small = int((own.columns <= GROWS_FROM).sum())  # the columns come in order of k
        if 0 < small < own.shape[1]:
            grown = jackknifed(own, lambda v, n=small: _mean_std(v[:, n:]) - GROWTH * _mean_std(v[:, :n]))  # type: ignore[misc]
            before, beyond = (
                _mean_std(part.to_numpy()) for part in (own.iloc[:, :small], own.iloc[:, small:])
            )
            flat = beyond < LEAST_SPREAD or grown.below
            grows = False if flat else True if grown.above else None
            parts[f"growth on {dataset}"] = grows if enough else None
            texts.append(f"{before:.3f} up to k = {GROWS_FROM:g}, {beyond:.3f} beyond")
        if "targeted" in wide:
            both = wide[["untargeted", "targeted"]].dropna(axis=1)
            half = both["untargeted"].shape[1]
            more = jackknifed(both, lambda v, h=half: _mean_std(v[:, :h]) - _mean_std(v[:, h:]))  # type: ignore[misc]
            larger = True if more.above else False if more.sure_high < LEAST_SPREAD else None
            parts[f"untargeted more on {dataset}"] = larger if enough else None
            texts.append(f"untargeted minus targeted {with_interval(more, '+.3f')}")
    return Finding(parts, "; ".join(texts), None, min(seeds)) if parts else None


def _mean_std(values: np.ndarray) -> float:
    return float(values.std(axis=0, ddof=1).mean())


def norm_ratio(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 9; it has no statistic of epochs."""
    rows = points[(points["workers"] > 0) & (points["hostile"] == 1) & (points["write_access"] > 0)]
    rows = rows[rows["norm_ratio"].notna()]
    parts: dict[str, bool | None] = {}
    texts, seeds = [], []
    for names, group in rows.groupby(["dataset", "model", "scale"]):
        dataset, model, scale = map(str, cast("tuple[str, ...]", names))
        paper = stated(dataset, model, scale)
        own, random = attacked(group, PRINTED), attacked(group, RANDOM)
        if paper is None or own.empty:
            continue
        for column, reading in READINGS.items():
            found, beside = estimate(own[column]), estimate(random[column])
            parts[f"{dataset} {model}, {reading}"] = _fits(found, paper, scale)
            shown = f" (random flips: {beside.mean:.3g})" if beside.seeds else ""
            texts.append(
                f"{dataset} {model}, {reading}: {with_interval(found, '.3g')}{shown}, paper {paper:.3g}"
            )
            seeds.append(found.seeds)
    return Finding(parts, "; ".join(texts), None, min(seeds)) if parts else None


def _fits(found: Estimate, paper: float, scale: str) -> bool | None:
    """Whether a measured ratio is the paper's; on raw features it must stand out as well."""
    if scale != "raw":
        return lies_in(found, NEAR_ONE)
    if found.sure_low <= 1:
        return None if found.sure_high > 1 else False
    return lies_in(found, (paper / FACTOR, paper * FACTOR))
