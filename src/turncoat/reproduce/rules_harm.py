"""Rules of claims on how much an attack costs: 1, 2, 3, 8, 10, 11 and 12.

Each takes the runs of one scale and the name of a statistic, and gives None where the runs it needs are absent.
"""

from typing import Any

import numpy as np
import pandas as pd

from turncoat.reproduce.measures import (
    OPTIMAL,
    PRINTED,
    RANDOM,
    Estimate,
    Finding,
    attacked,
    budget,
    by_seed,
    cell_text,
    cells_of,
    difference,
    estimate,
    harm,
    percent,
    points_text,
    resampled,
    usual,
    wide_of,
)

TENTH_PERCENT = (0.03, 0.09)  # "about 6 points"
TAIL_EVENT = 0.10  # a mean over few seeds is made by the runs that lose as much
FIVE_PERCENT = (0.10, 0.19)
LEAST_HARM = 0.01  # below one point nothing was harmed
DEEP = (
    ("mnist", "mlp"),
    ("cifar10", "logistic"),
    ("cifar10", "mlp"),
    ("cifar100", "logistic"),
    ("cifar100", "mlp"),
    ("cifar10", "vit"),
)
F1_CORRELATION = 0.9
HALF = 0.5
LOST = 0.05  # of the cells, which chance alone may give to random flips


def tenth_percent(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 1."""
    rows = attacked(usual(points, "mnist-01"), goal="untargeted")
    rows = rows[budget(rows) == 0.001]
    if rows.empty:
        return None
    found = estimate(by_seed(harm(rows, statistic), rows))
    low, high = TENTH_PERCENT
    ok = low <= found.mean <= high and found.above
    pairs = rows[["write_access", "local_budget"]].drop_duplicates()
    lost = int((harm(rows, statistic) > TAIL_EVENT).sum())
    text = (
        f"{points_text(found)} over {len(pairs)} pairs (k, b); {lost} of {len(rows)} runs lose more than 10"
    )
    return Finding({"": ok}, text, found, found.seeds)


def random_level(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 2."""
    rows = attacked(usual(points, "mnist-01"))
    rows = rows[budget(rows) == 0.25]
    if rows.empty:
        return None
    chance = float(rows["chance"].iloc[0])
    parts, seeds = {}, []
    for cell, group in cells_of(rows):
        found = estimate(group[f"accuracy.{statistic}"])
        reached = found.mean <= chance if found.seeds < 2 else found.low <= chance
        parts[cell] = reached
        seeds.append(found.seeds)
    every = estimate(by_seed(rows[f"accuracy.{statistic}"], rows))
    text = f"accuracy {points_text(every)}; chance {percent(chance)}"
    return Finding(parts, text, every, min(seeds))


def five_percent(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 3."""
    rows = attacked(usual(points, "mnist"))
    rows = rows[budget(rows) == 0.05]
    if rows.empty:
        return None
    rows = rows.assign(harm=harm(rows, statistic))
    parts, texts, seeds = {}, [], []
    for cell, group in cells_of(rows):
        found = estimate(group["harm"])
        low, high = (found.mean, found.mean) if found.seeds < 2 else (found.low, found.high)
        parts[cell] = low <= FIVE_PERCENT[1] and high >= FIVE_PERCENT[0]
        texts.append(f"{percent(found.mean)} ({cell})")
        seeds.append(found.seeds)
    every = estimate(by_seed(rows["harm"], rows))
    return Finding(parts, f"{points_text(every)}: {', '.join(texts)}", every, min(seeds))


def adam(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 8."""
    rows = points[(points["dataset"] == "mnist") & (points["model"] == "logistic") & (points["workers"] == 0)]
    rows = attacked(rows[rows["patience"] == 0], goal="untargeted")
    lengths = [set(rows[rows["optimizer"] == name]["epochs"]) for name in ("adam", "sgd")]
    rows = rows[rows["epochs"].isin(set.intersection(*lengths))]  # a short training compares with a short one
    rows = rows.assign(harm=harm(rows, statistic))
    wide: Any = wide_of(rows["harm"], rows, ["optimizer", "write_access", "local_budget"])
    if wide.empty or not {"adam", "sgd"} <= set(wide.columns.get_level_values(0)):
        return None
    more = (wide["adam"] - wide["sgd"]).dropna(axis=1, how="all").dropna()
    if more.empty:
        return None
    every = estimate(more.mean(axis=1))
    parts = {cell_text(*cell): estimate(more[cell]).above for cell in more.columns}
    if every.above and not any(estimate(more[cell]).below for cell in more.columns):
        parts = {"": True}
    text = f"Adam costs {points_text(every)} more, over {more.shape[1]} budgets"
    return Finding(parts, text, every, every.seeds)


def carries_over(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 10."""
    parts, texts, seeds = {}, [], []
    for dataset, model in DEEP:
        rows = attacked(usual(points, dataset, model), goal="untargeted")
        if rows.empty:
            continue
        rows = rows[budget(rows) == budget(rows).max()]
        rows = rows[rows["write_access"] == rows["write_access"].max()]
        found = estimate(harm(rows, statistic))
        parts[f"{dataset} {model}"] = found.mean >= LEAST_HARM and (found.above or found.seeds < 2)
        texts.append(f"{dataset} {model} {points_text(found)} at k·b = {budget(rows).iloc[0]:g}")
        seeds.append(found.seeds)
    if not parts:
        return None
    absent = [name for d, m in DEEP if (name := f"{d} {m}") not in parts]
    parts |= dict.fromkeys(absent, False)  # what nobody measured does not hold yet
    text = "; ".join(texts) + (f"; not measured: {', '.join(absent)}" if absent else "")
    return Finding(parts, text, None, min(seeds))


def f1_follows(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 11."""
    rows = points[(points["dataset"] == "mnist") & (points["model"] == "logistic") & (points["patience"] > 0)]
    rows = rows[(rows["selection"] == PRINTED) | (rows["write_access"] == 0)]
    both = [
        wide_of(rows[f"{m}.{statistic}"], rows, ["write_access", "local_budget"])
        for m in ("accuracy", "macro_f1")
    ]
    if rows.empty or both[0].shape[1] < 3:
        return None
    cells = both[0].shape[1]
    found = resampled(
        pd.concat(both, axis=1),
        lambda v: float(np.corrcoef(_ranks(v[:, :cells].mean(0)), _ranks(v[:, cells:].mean(0)))[0, 1]),
    )
    text = f"rank correlation {found.mean:.3f} [{found.low:.3f}, {found.high:.3f}] over {cells} budgets"
    return Finding({"": found.mean >= F1_CORRELATION}, text, found, found.seeds)


def beats_random(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 12: cells in which neither harms by a point are left out; in the others the attack must not lose.

    From half of the labels on, random flips of two classes teach the opposite: no attack beats that.
    """
    rows = points[(points["write_access"] > 0) & (points["workers"] == 0)]
    rows = rows[budget(rows) < HALF]
    rows = rows.assign(harm=harm(rows, statistic))
    random = rows[rows["selection"] == RANDOM]
    setting = ["dataset", "model", "optimizer", "patience", "epochs"]
    parts, texts, seeds = {}, [], []
    for values, group in rows[rows["selection"].isin((PRINTED, OPTIMAL))].groupby(setting):
        beside = random[(random[setting] == list(values)).all(axis=1)]
        won = [score for score in _duels(group, beside) if score is not None]
        if not won:
            continue
        above, below = (sum(s == sign for s, _ in won) for sign in (1, -1))
        name = " ".join(str(v) for v in (*values[:2], "adam" if values[2] == "adam" else "")).strip()
        name += " early stopping" if values[3] else ""
        name += f" ({values[4]} epochs)" if values[4] < rows["epochs"].max() else ""
        parts[name] = below <= LOST * len(won) and above > len(won) / 2
        texts.append(f"{name}: more in {above}, less in {below} of {len(won)} cells")
        seeds += [n for _, n in won]
    if not parts:
        return None
    steps = rows["step_stability"].dropna()
    stable = f"; step up to {steps.max():.3g} times the stable one" if len(steps) else ""
    return Finding(parts, "; ".join(texts) + stable, None, min(seeds))


def _duels(group: pd.DataFrame, beside: pd.DataFrame) -> list[tuple[int, int] | None]:
    """Per cell 1 if the attack harms more than random flips, -1 if less, 0 if undecided, and the seeds."""
    rivals = {
        cell: rows.set_index("seed")["harm"]
        for cell, rows in beside.groupby(["write_access", "local_budget"])
    }
    found: list[tuple[int, int] | None] = []
    for (k, b, _, _), rows in group.groupby(["write_access", "local_budget", "goal", "selection"]):
        rival = rivals.get((k, b))
        own = rows.set_index("seed")["harm"]
        if rival is None or max(own.mean(), rival.mean()) < LEAST_HARM:
            continue
        more: Estimate = difference(own, rival)
        if more.seeds:
            found.append((int(more.above) - int(more.below), more.seeds))
    return found


def _ranks(values: np.ndarray) -> np.ndarray:
    return pd.Series(values).rank().to_numpy()
