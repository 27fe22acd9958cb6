"""Rules of claims on the spread over seeds and on how visible the attacker is: 7 and 9.

Each takes the runs of one scale and the name of a statistic, and gives None where the runs it needs are absent.
"""

from typing import Any, cast

import numpy as np
import pandas as pd

from turncoat.analysis.estimate import Estimate, jackknifed, spread
from turncoat.reproduce.judging import SHARE, TIMES, Finding, Part
from turncoat.reproduce.measures import (
    FEW,
    PRINTED,
    RANDOM,
    attacked,
    band_words,
    lies_in,
    mean_of,
    usual,
    wide_of,
)
from turncoat.reproduce.ratios import READINGS, stated

LEAST_SPREAD = 0.005  # half a point: less is no spread, and no difference between two
SPREADS = {"mnist-01": (0.01, 0.04), "mnist": (0.05, 0.2)}  # "about 0.02" and "about 0.1"
GROWS_FROM, GROWTH = 0.1, 2.0
SPREAD_RULE = (
    f"At b = 1, mean over k of the std: {band_words(SPREADS['mnist-01'], 1.0, '')} (2 classes),"
    f" {band_words(SPREADS['mnist'], 1.0, '')} (10); beyond k = {GROWS_FROM:g} surely more than {GROWTH:g} times that"
    f" up to there, and {LEAST_SPREAD:g} or more; untargeted minus targeted surely above 0 (it fails if surely below"
    f" {LEAST_SPREAD:g}). Undecided with fewer than {FEW} seeds"
)


def spreads(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 7."""
    parts = []
    for dataset, band in SPREADS.items():
        rows = usual(points, dataset)
        rows = rows[rows["local_budget"] == 1]
        own, random = attacked(rows), attacked(rows, RANDOM)
        name = f"accuracy.{statistic}"
        wide: Any = wide_of(own[name], own, ["goal", "write_access"])
        if wide.empty or "untargeted" not in wide or len(wide.dropna()) < 2:
            continue
        beside = jackknifed(wide_of(random[name], random, ["write_access"]).dropna(axis=1), _mean_std)
        parts += _spread_parts(dataset, band, wide, beside if beside.n else None)
    return Finding(tuple(parts)) if parts else None


def _spread_parts(
    dataset: str, band: tuple[float, float], wide: pd.DataFrame, random: Estimate | None
) -> list[Part]:
    """The claim's three sentences on one data set; one seed a row, one goal and write access a column."""
    own = cast(pd.DataFrame, wide["untargeted"]).dropna(axis=1)
    found = jackknifed(own, _mean_std)
    seeds, enough = found.n, found.n >= FEW
    size = lies_in(found, band) if enough else None
    parts = [Part(f"size on {dataset}", size, found, random, SHARE, seeds, "mean over k of the std")]
    small = sum(float(cast(Any, k)) <= GROWS_FROM for k in own.columns)  # the columns come in order of k
    if 0 < small < own.shape[1]:
        grown = jackknifed(own, lambda v: _mean_std(v[:, small:]) - GROWTH * _mean_std(v[:, :small]))
        before, beyond = (_mean_std(part.to_numpy()) for part in (own.iloc[:, :small], own.iloc[:, small:]))
        flat = beyond < LEAST_SPREAD or grown.below
        grows = None if not enough else False if flat else True if grown.above else None
        note = f"{beyond:.3f} beyond k = {GROWS_FROM:g}, less {GROWTH:g} times {before:.3f} up to there"
        parts.append(Part(f"growth on {dataset}", grows, grown, None, SHARE, seeds, note))
    if "targeted" in wide:
        both = wide[["untargeted", "targeted"]].dropna(axis=1)
        half = both["untargeted"].shape[1]
        more = jackknifed(both, lambda v: _mean_std(v[:, :half]) - _mean_std(v[:, half:]))
        larger = True if more.above else False if more.high < LEAST_SPREAD else None
        larger = larger if enough else None
        note = "std untargeted minus targeted"
        parts.append(Part(f"untargeted more on {dataset}", larger, more, None, SHARE, seeds, note))
    return parts


def _mean_std(values: np.ndarray) -> float:
    return float(spread(values).mean())


FACTOR = 1.5  # between a ratio and the paper's
NEAR_ONE = (0.95, 1.05)
NORM_RULE = (
    f"One hostile worker of ten, both readings of the ratio apart. Normalised: {band_words(NEAR_ONE, 1.0, '')}; raw:"
    f" surely above 1, and within a factor of {FACTOR:g} of the paper's; undecided where the interval is wider than"
    " that, or reaches in"
)


def norm_ratio(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 9; it has no statistic of epochs."""
    rows = points[(points["workers"] > 0) & (points["hostile"] == 1) & (points["write_access"] > 0)]
    rows = rows[rows["norm_ratio"].notna()]
    parts = []
    groups = sorted(rows.groupby(["dataset", "model", "scale"]), key=lambda group: _mnist_first(group[0]))
    for names, group in groups:
        dataset, model, scale = map(str, cast("tuple[str, ...]", names))
        paper = stated(dataset, model, scale)
        own, random = attacked(group, PRINTED), attacked(group, RANDOM)
        if paper is None or own.empty:
            continue
        for column, reading in READINGS.items():
            found, beside = mean_of(own[column]), mean_of(random[column])
            part, note = f"{dataset} {model}, {reading}", f"paper {paper:.3g}"
            parts.append(Part(part, _fits(found, paper, scale), found, beside, TIMES, found.n, note))
    return Finding(tuple(parts)) if parts else None


def _mnist_first(names: Any) -> tuple[bool, Any]:
    return names[0] != "mnist", names


def _fits(found: Estimate, paper: float, scale: str) -> bool | None:
    """Whether a measured ratio is the paper's; on raw features it must stand out as well."""
    if scale != "raw":
        return lies_in(found, NEAR_ONE)
    if found.low <= 1:
        return None if found.high > 1 else False
    return lies_in(found, (paper / FACTOR, paper * FACTOR))
