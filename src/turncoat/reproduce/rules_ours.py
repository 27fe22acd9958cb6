"""Rules of claims 13 to 21, which are ours: plans beside the per-round optimum, how often it decides, and strikes.

Each takes the runs of one scale and the name of a statistic, and gives None where the runs it needs are absent.
"""

import itertools
from collections.abc import Callable
from typing import Any, cast

import pandas as pd

from turncoat.analysis.estimate import Estimate, estimate
from turncoat.reproduce.judging import POINTS, Finding, Part
from turncoat.reproduce.measures import (
    A_POINT,
    CELL,
    OPTIMAL,
    POINT,
    PRINTED,
    RANDOM,
    attacked,
    cell_text,
    complete,
    harmed,
    wide_of,
)
from turncoat.reproduce.rules_shape import GOALS_OF, goal_parts

PLANNED, CLASS_BY_CLASS = "planned", "class_by_class"
SETTING = ["dataset", "model"]
OFTEN = ("epoch", "epoch/4", "epoch/16", "step")  # rounds, from the fewest to the most

UNDERSTATES_RULE = (
    f"Per data set and model: harm of planned flips minus that of `{OPTIMAL}`, on average over the budgets, paired by"
    f" seed: surely above 0 and {A_POINT} or more on the mean; it fails if surely less than {A_POINT}; undecided"
    " otherwise"
)


def understates(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 13."""
    rows = harmed(_whole(points), statistic)
    parts = []
    for (dataset, model), group in rows.groupby(SETTING, sort=False):
        wide = {
            rule: wide_of(own["harm"], own, CELL)
            for rule in (PLANNED, OPTIMAL, RANDOM, CLASS_BY_CLASS)
            if len(own := attacked(group, rule))
        }
        if not {PLANNED, OPTIMAL} <= set(wide):
            continue
        gap: Any = complete((wide[PLANNED] - wide[OPTIMAL]).dropna(axis=1, how="all"))
        found = estimate(gap.mean(axis=1))
        beside = _mean_over(wide[RANDOM], wide[OPTIMAL]) if RANDOM in wide else None
        part = Part(f"{dataset} {model}", _at_least_a_point(found), found, beside, POINTS, found.n)
        parts.append(_with_note(part, gap, wide))
    return Finding(tuple(parts)) if parts else None


def _with_note(part: Part, gap: pd.DataFrame, wide: dict[str, pd.DataFrame]) -> Part:
    most: Any = gap.mean().idxmax()
    note = f"more than `{OPTIMAL}`, mean over {gap.shape[1]} budgets; most {POINTS.text(estimate(gap[most]))}"
    note += f" at {cell_text(*most)}"
    if CLASS_BY_CLASS in wide:
        blind = _mean_over(wide[CLASS_BY_CLASS], wide[OPTIMAL])
        note += f"; class by class {POINTS.text(blind)}"
    return Part(part.name, part.holds, part.figure, part.random, POINTS, part.seeds, note)


def _mean_over(one: pd.DataFrame, other: pd.DataFrame) -> Estimate:
    """What one rule costs more than another, on average over budgets."""
    gap: Any = complete((one - other).dropna(axis=1, how="all"))
    return estimate(gap.mean(axis=1))


def _at_least_a_point(found: Estimate) -> bool | None:
    if found.above and found.mean >= POINT:
        return True
    return False if found.high < POINT else None


OFTENER_RULE = (
    "Per data set and budget: harm with one round an epoch minus harm with a round each step: surely above 0, and"
    f" the mean harm of rounds of 1, 1/4, 1/16 epoch and one step never rises by {A_POINT} or more; it fails if surely"
    " below 0; undecided otherwise"
)


def oftener(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 14."""
    rows = harmed(points[(points["selection"] == OPTIMAL) | (points["write_access"] == 0)], statistic)
    rows = rows[(rows["write_access"] > 0) & rows["schedule"].isin(OFTEN)]
    parts = []
    for values, group in rows.groupby(["dataset", *CELL], sort=False):
        dataset, k, b = cast("tuple[str, float, float]", values)
        wide: Any = group.pivot_table(index="seed", columns="schedule", values="harm")
        if not set(OFTEN) <= set(wide):
            continue
        wide = wide[list(OFTEN)].dropna()
        found = estimate(wide[OFTEN[0]] - wide[OFTEN[-1]])
        means = [float(wide[name].mean()) for name in OFTEN]
        falls = all(after < before + POINT for before, after in itertools.pairwise(means))
        holds = False if found.below else True if found.above and falls else None
        told = ", ".join(f"{100 * mean:.1f}" for mean in means)
        note = f"less with a round each step; harm by rounds of 1, 1/4, 1/16 epoch, one step: {told}"
        parts.append(Part(f"{dataset} {cell_text(k, b)}", holds, found, None, POINTS, found.n, note))
    return Finding(tuple(parts)) if parts else None


TENTH = 0.1
STRIKE_RULE = (
    "Per data set and budget: harm of `planned:last` that flips in the last 10 % of the epochs alone, minus harm of"
    f" `{OPTIMAL}` that flips all along: surely above −{A_POINT}; it fails if surely below −{A_POINT}; undecided"
    " otherwise"
)


def strike(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 15."""
    rows = harmed(points, statistic)
    rows = rows[rows["write_access"] > 0]
    parts = []
    for values, group in rows.groupby(["dataset", *CELL], sort=False):
        dataset, k, b = cast("tuple[str, float, float]", values)
        few = max(1, round(TENTH * int(group["epochs"].iloc[0])))
        wide: Any = group.pivot_table(index="seed", columns=["selection", "last_rounds"], values="harm")
        late, always = ("planned:last", few), (OPTIMAL, 0)
        if not {late, always} <= set(wide.columns):
            continue
        found = estimate((wide[late] - wide[always]).dropna())
        holds = True if found.low > -POINT else False if found.high < -POINT else None
        by_rounds = [
            f"{last or 'all'}: {100 * wide['planned:last', last].mean():.1f}"
            for last in sorted(wide["planned:last"].columns, key=lambda last: last or 10**9)
        ]
        note = (
            f"more in the last {few} than `{OPTIMAL}` all along ({100 * wide[always].mean():.1f}); `planned:last` by"
            f" rounds in which it flips: {', '.join(by_rounds)}"
        )
        parts.append(Part(f"{dataset} {cell_text(k, b)}", holds, found, None, POINTS, found.n, note))
    return Finding(tuple(parts)) if parts else None


def under_plans(
    rule: Callable[[pd.DataFrame, str], Finding | None],
) -> Callable[[pd.DataFrame, str], Finding | None]:
    """A claim's rule, with planned flips in the place of the printed ones."""

    def read(points: pd.DataFrame, statistic: str) -> Finding | None:
        kept = points[points["selection"] != PRINTED]
        kept = kept.assign(selection=kept["selection"].replace(PLANNED, PRINTED))
        return rule(kept, statistic)

    return read


PLANNED_GOALS_RULE = (
    f"MNIST 0/1, and digits apart: {GOALS_OF}. With two classes the only wrong label is the target, so plans of both"
    " goals have one aim, and differ by where their searches set out; with ten they differ in their aim"
)


def planned_goals(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 21, on plans that stand in the place of printed flips: claim 6, and the same where goals are two aims."""
    parts = [
        *goal_parts(points, statistic, "mnist-01"),
        *goal_parts(points, statistic, "digits", " on digits"),
    ]
    return Finding(tuple(parts)) if parts else None


def _whole(points: pd.DataFrame) -> pd.DataFrame:
    """Attacks that decide once an epoch, all along."""
    return points[(points["schedule"] == "epoch") & (points["last_rounds"] == 0)]
