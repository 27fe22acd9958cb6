"""Rules of claims 11 and 12: F1 beside accuracy, and the attack beside random flips.

Each takes the runs of one scale and the name of a statistic, and gives None where the runs it needs are absent.
"""

from typing import Any

import numpy as np
import pandas as pd

from turncoat.analysis.breakdown import global_budget
from turncoat.analysis.estimate import Estimate, estimate, jackknifed
from turncoat.analysis.pairs import minus
from turncoat.reproduce.judging import POINTS, SHARE, Finding, Part
from turncoat.reproduce.measures import (
    A_POINT,
    CELL,
    CHANCE,
    FEW_CELLS,
    HALF,
    OPTIMAL,
    POINT,
    PRINTED,
    RANDOM,
    complete,
    harmed,
    wide_of,
)

F1_CORRELATION = 0.9
FEWEST_BUDGETS = 3
F1_RULE = (
    "Rank correlation of mean F1 and mean accuracy over the clean run and all budgets: surely"
    f" {F1_CORRELATION:g} or more; with early stopping only if it ever stopped a run"
)


def f1_follows(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 11."""
    rows = points[(points["dataset"] == "mnist") & (points["model"] == "logistic") & (points["patience"] > 0)]
    own = rows[(rows["selection"] == PRINTED) | (rows["write_access"] == 0)]
    found, cells = _correlation(own, statistic)
    if found is None:
        return None
    random, _ = _correlation(rows[(rows["selection"] == RANDOM) | (rows["write_access"] == 0)], statistic)
    follows = True if found.low >= F1_CORRELATION else False if found.high < F1_CORRELATION else None
    stopped = int((own["lasted"] < own["epochs"]).sum())
    note = f"rank correlation over {cells} budgets; {stopped} of {len(own)} runs stopped early"
    first = Part("training to the end", follows, found, random, SHARE, found.n, note)
    return Finding((first, Part("early stopping", follows if stopped else None, seeds=found.n)))


def _correlation(rows: pd.DataFrame, statistic: str) -> tuple[Estimate | None, int]:
    """Rank correlation of F1 and accuracy over budgets, and over how many."""
    both = [wide_of(rows[f"{measure}.{statistic}"], rows, CELL) for measure in ("accuracy", "macro_f1")]
    cells = both[0].shape[1]
    if rows.empty or cells < FEWEST_BUDGETS:
        return None, cells

    def ranked(values: np.ndarray) -> float:
        first, second = (
            pd.Series(part.mean(0)).rank().to_numpy() for part in (values[:, :cells], values[:, cells:])
        )
        return float(np.corrcoef(first, second)[0, 1])

    return jackknifed(pd.concat(both, axis=1), ranked), cells


BEATS_RANDOM_RULE = (
    f"`{PRINTED}` and `{OPTIMAL}` apart, both goals. Of the cells in which either costs {A_POINT} (of two"
    f" classes those with k·b below {HALF:g}, for from there on random flips teach the opposite), paired by seed: the"
    f" attack surely harms more in more than half, and surely less in at most {FEW_CELLS}; it fails if surely"
    " less in more, and is undecided otherwise"
)


def beats_random(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 12: cells in which neither harms by a point are left out; in the others the attack must not lose.

    From half of the labels on, random flips of two classes teach the opposite: no attack beats that.
    """
    rows = points[(points["write_access"] > 0) & (points["workers"] == 0)]
    rows = harmed(rows[(global_budget(rows) < HALF) | (rows["dataset"] != "mnist-01")], statistic)
    random = rows[rows["selection"] == RANDOM]
    setting = ["dataset", "model", "optimizer", "patience", "epochs"]
    parts = []
    for values, group in rows[rows["selection"].isin((PRINTED, OPTIMAL))].groupby([*setting, "selection"]):
        duels = _duels(group, random[(random[setting] == list(values[:-1])).all(axis=1)])
        if duels:
            parts.append(_duelled(_setting_text(values, int(rows["epochs"].max())), duels))
    order = {name: rank for rank, name in enumerate(("mnist-01 logistic", "mnist logistic"))}
    parts.sort(key=lambda part: (order.get(part.name.partition(f" {PRINTED}")[0], len(order)), part.name))
    return Finding(tuple(parts)) if parts else None


def _duelled(name: str, duels: list[tuple[pd.Series, pd.Series]]) -> Part:
    """A setting in which attack and random flips met in some cells, each as harm by seed."""
    won = [estimate(minus(own, rival)) for own, rival in duels]
    above, below = sum(one.above for one in won), sum(one.below for one in won)
    holds = False if below > CHANCE * len(won) else True if above > len(won) / 2 else None
    more, beside = (
        estimate(complete(pd.concat(parts, axis=1)).mean(axis=1))
        for parts in ([minus(own, rival) for own, rival in duels], [rival for _, rival in duels])
    )
    note = f"more than random flips cost; surely more in {above} of {len(won)} cells, less in {below}"
    return Part(name, holds, more, beside, POINTS, min(one.n for one in won), note)


def _setting_text(values: tuple[Any, ...], longest: int) -> str:
    dataset, model, optimizer, patience, epochs, selection = values
    words = [dataset, model, "adam" if optimizer == "adam" else "", "early stopping" if patience else ""]
    short = f"({epochs} epochs)" if epochs < longest else ""
    return " ".join(filter(None, [*words, selection, short]))


def _duels(group: pd.DataFrame, beside: pd.DataFrame) -> list[tuple[pd.Series, pd.Series]]:
    """Harm by seed of the attack and of random flips, for each cell in which either costs something."""
    slim = ["seed", "harm"]  # to index all columns of thousands of cells takes long
    rivals = {cell: rows[slim].set_index("seed")["harm"] for cell, rows in beside.groupby(CELL)}
    found = []
    for (k, b, _), rows in group.groupby([*CELL, "goal"]):
        rival, own = rivals.get((k, b)), rows[slim].set_index("seed")["harm"]
        if rival is None or max(own.mean(), rival.mean()) < POINT:
            continue
        if len(minus(own, rival)):
            found.append((own, rival))
    return found
