"""Rules of claims on how much an attack costs: 1, 2, 3, 8 and 10; their thresholds and their words stand together.

Each takes the runs of one scale and the name of a statistic, and gives None where the runs it needs are absent.
"""

from typing import Any

import pandas as pd

from turncoat.analysis.breakdown import global_budget
from turncoat.analysis.estimate import Estimate, estimate
from turncoat.reproduce.judging import PERCENT, POINTS, Finding, Part
from turncoat.reproduce.measures import (
    A_POINT,
    BAND_UNDECIDED,
    CELL,
    DEEP,
    POINT,
    RANDOM,
    attacked,
    band_words,
    by_seed,
    cell_text,
    cells_of,
    complete,
    harmed,
    lies_in,
    mean_of,
    percent_words,
    points_words,
    random_in,
    usual,
    wide_of,
)

TENTH_PERCENT, TENTH_PERCENT_COSTS = 0.001, (0.03, 0.09)  # "about 6 points"
TAIL_EVENT = 0.10  # a mean over few seeds is made by the runs that lose as much
TENTH_PERCENT_RULE = (
    f"Mean harm over all measured cells with k·b = {percent_words(TENTH_PERCENT)}, both goals:"
    f" {band_words(TENTH_PERCENT_COSTS)}; {BAND_UNDECIDED}"
)


def tenth_percent(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 1."""
    setting = harmed(usual(points, "mnist-01"), statistic)
    rows = attacked(setting)
    rows = rows[global_budget(rows) == TENTH_PERCENT]
    if rows.empty:
        return None
    whole = complete(wide_of(rows["harm"], rows, [*CELL, "goal"]))
    found = estimate(whole.mean(axis=1))
    lost = int((rows["harm"] > TAIL_EVENT).sum())
    note = (
        f"over {whole.shape[1]} cells; {lost} of {len(rows)} runs lose more than {points_words(TAIL_EVENT)}"
    )
    beside = _random_too(setting, rows)
    return Finding((Part("", lies_in(found, TENTH_PERCENT_COSTS), found, beside, POINTS, found.n, note),))


QUARTER = 0.25
RANDOM_LEVEL = 0.05  # above the majority class that is still random level
RANDOM_LEVEL_RULE = (
    f"Every measured pair with k·b = {percent_words(QUARTER)}, both goals: the accuracy is surely less than"
    f" {points_words(RANDOM_LEVEL)} above the majority class; undecided if it is surely neither less nor more"
)


def random_level(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 2."""
    setting = usual(points, "mnist-01")
    rows = attacked(setting)
    rows = rows[global_budget(rows) == QUARTER]
    if rows.empty:
        return None
    name = f"accuracy.{statistic}"
    level = float(rows["chance"].iloc[0])
    parts = []
    for cell, group in cells_of(rows):
        found, beside = mean_of(group[name]), random_in(setting, group)
        near, far = found.high <= level + RANDOM_LEVEL, found.low > level + RANDOM_LEVEL
        holds = near if near or far else None
        parts.append(Part(cell, holds, found, mean_of(beside[name]), PERCENT, found.n))
    lowest = min(parts, key=lambda part: part.figure.mean if part.figure else 1.0)
    every = estimate(by_seed(rows[name], rows))
    beside = random_in(setting, rows)
    note = f"accuracy; lowest {PERCENT.text(lowest.figure)} ({lowest.name}); chance {100 * level:.1f} %"
    random = estimate(by_seed(beside[name], beside)) if len(beside) else None
    return Finding(tuple(parts), Part("", None, every, random, PERCENT, every.n, note))


TWENTIETH, TWENTIETH_COSTS = 0.05, (0.10, 0.19)
FIVE_PERCENT_RULE = (
    f"Every measured cell with k·b = {percent_words(TWENTIETH)}, both goals: mean harm is"
    f" {band_words(TWENTIETH_COSTS)}; {BAND_UNDECIDED}"
)


def five_percent(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 3."""
    setting = harmed(usual(points, "mnist"), statistic)
    rows = attacked(setting)
    rows = rows[global_budget(rows) == TWENTIETH]
    if rows.empty:
        return None
    parts = []
    for cell, group in cells_of(rows):
        found = mean_of(group["harm"])
        parts.append(
            Part(cell, lies_in(found, TWENTIETH_COSTS), found, _random_too(setting, group), POINTS, found.n)
        )
    every = estimate(by_seed(rows["harm"], rows))
    whole = Part("", None, every, _random_too(setting, rows), POINTS, every.n, "mean over the cells")
    return Finding(tuple(parts), whole)


def _random_too(setting: pd.DataFrame, rows: pd.DataFrame) -> Estimate | None:
    """What random flips cost in the cells of these rows."""
    beside = random_in(setting, rows)
    return None if beside.empty else estimate(by_seed(beside["harm"], beside))


ADAM_RULE = (
    "Harm with Adam minus harm with SGD at the same k, b and seed: surely above 0 on average over the cells, and surely"
    " below 0 in none; if in some, only the cells where it is surely above 0. It fails if the average is surely less"
    f" than {A_POINT}; undecided otherwise"
)


def adam(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 8."""
    rows = points[(points["dataset"] == "mnist") & (points["model"] == "logistic") & (points["workers"] == 0)]
    rows = rows[rows["patience"] == 0]
    more = _adam_more(harmed(attacked(rows, goal="untargeted"), statistic))
    if more is None:
        return None
    random = _adam_more(harmed(attacked(rows, RANDOM), statistic))
    beside = None if random is None else estimate(random.mean(axis=1))
    every = estimate(more.mean(axis=1))
    cells = {cell_text(*cell): mean_of(more[cell]) for cell in more.columns}
    above, below = ([name for name, one in cells.items() if getattr(one, way)] for way in ("above", "below"))
    note = f"mean over {len(cells)} budgets; surely more in {len(above)} of them, less in {len(below)}"
    whole = Part("", None, every, beside, POINTS, every.n, note)
    if every.above and below:
        parts = [Part(name, name in above, one, None, POINTS, one.n) for name, one in cells.items()]
        return Finding(tuple(parts), whole)
    holds = True if every.above else False if every.high < POINT else None
    return Finding((Part("", holds, every, beside, POINTS, every.n, note),))


def _adam_more(rows: pd.DataFrame) -> pd.DataFrame | None:
    """By seed and cell, what Adam costs more than SGD, for the seeds that have all cells."""
    lengths = [set(rows[rows["optimizer"] == name]["epochs"]) for name in ("adam", "sgd")]
    rows = rows[rows["epochs"].isin(set.intersection(*lengths))]  # a short training compares with a short one
    wide: Any = wide_of(rows["harm"], rows, ["optimizer", *CELL])
    if wide.empty or not {"adam", "sgd"} <= set(wide.columns.get_level_values(0)):
        return None
    more: pd.DataFrame = (wide["adam"] - wide["sgd"]).dropna(axis=1, how="all").dropna()
    return None if more.empty else more


CARRIES_OVER_RULE = (
    f"At the largest measured budget, untargeted: mean harm of {A_POINT} or more, surely above 0; it fails"
    f" if surely below {A_POINT}; undecided otherwise, or if not measured"
)


def carries_over(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 10."""
    parts = []
    for dataset, model in DEEP:
        setting = harmed(usual(points, dataset, model), statistic)
        rows = attacked(setting, goal="untargeted")
        if rows.empty:
            parts.append(Part(f"{dataset} {model}", None, note="not measured"))
            continue
        rows = rows[global_budget(rows) == global_budget(rows).max()]
        rows = rows[rows["write_access"] == rows["write_access"].max()]
        found = mean_of(rows["harm"])
        holds = True if found.mean >= POINT and found.above else None
        holds = False if found.high < POINT else holds
        note = f"at k·b = {global_budget(rows).iloc[0]:g}"
        parts.append(
            Part(f"{dataset} {model}", holds, found, _random_too(setting, rows), POINTS, found.n, note)
        )
    return Finding(tuple(parts)) if any(part.seeds for part in parts) else None
