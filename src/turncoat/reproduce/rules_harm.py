"""Rules of claims on how much an attack costs: 1, 2, 3, 8, 10, 11 and 12.

Each takes the runs of one scale and the name of a statistic, and gives None where the runs it needs are absent.
"""

from typing import Any

import numpy as np
import pandas as pd

from turncoat.reproduce.measures import (
    CELL,
    CHANCE,
    DEEP,
    HALF,
    OPTIMAL,
    POINT,
    PRINTED,
    RANDOM,
    Finding,
    attacked,
    budget,
    by_seed,
    cell_text,
    cells_of,
    complete,
    estimate,
    harmed,
    jackknifed,
    lies_in,
    percent,
    points_text,
    random_in,
    usual,
    wide_of,
    with_interval,
)

TENTH_PERCENT = (0.03, 0.09)  # "about 6 points"
TAIL_EVENT = 0.10  # a mean over few seeds is made by the runs that lose as much
FIVE_PERCENT = (0.10, 0.19)
F1_CORRELATION = 0.9
RANDOM_LEVEL = 0.05  # points above the majority class that are still random level


def tenth_percent(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 1."""
    setting = harmed(usual(points, "mnist-01"), statistic)
    rows = attacked(setting)
    rows = rows[budget(rows) == 0.001]
    if rows.empty:
        return None
    whole = complete(wide_of(rows["harm"], rows, [*CELL, "goal"]))
    found = estimate(whole.mean(axis=1))
    lost = int((rows["harm"] > TAIL_EVENT).sum())
    text = (
        f"{points_text(found)} over {whole.shape[1]} cells{_random_too(setting, rows)}; "
        f"{lost} of {len(rows)} runs lose more than 10"
    )
    return Finding({"": lies_in(found, TENTH_PERCENT)}, text, found, found.seeds)


def random_level(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 2."""
    setting = usual(points, "mnist-01")
    rows = attacked(setting)
    rows = rows[budget(rows) == 0.25]
    if rows.empty:
        return None
    name = f"accuracy.{statistic}"
    level = float(rows["chance"].iloc[0])
    cells = {cell: estimate(group[name]) for cell, group in cells_of(rows)}
    parts: dict[str, bool | None] = {}
    for cell, found in cells.items():
        near, far = found.sure_high <= level + RANDOM_LEVEL, found.sure_low > level + RANDOM_LEVEL
        parts[cell] = near if near or far else None
    lowest = min(cells, key=lambda cell: cells[cell].mean)
    beside = random_in(setting, rows)
    every = estimate(by_seed(rows[name], rows))
    text = f"accuracy {points_text(every)}, lowest {percent(cells[lowest].mean)} ({lowest}); "
    if len(beside):
        text += f"random flips {percent(estimate(by_seed(beside[name], beside)).mean)}; "
    fewest = min(found.seeds for found in cells.values())
    return Finding(parts, text + f"chance {percent(level)}", every, fewest)


def five_percent(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 3."""
    setting = harmed(usual(points, "mnist"), statistic)
    rows = attacked(setting)
    rows = rows[budget(rows) == 0.05]
    if rows.empty:
        return None
    cells = {cell: (estimate(group["harm"]), group) for cell, group in cells_of(rows)}
    parts = {cell: lies_in(found, FIVE_PERCENT) for cell, (found, _) in cells.items()}
    texts = [
        f"{cell} {percent(found.mean)}{_random_too(setting, group)}" for cell, (found, group) in cells.items()
    ]
    every = estimate(by_seed(rows["harm"], rows))
    fewest = min(found.seeds for found, _ in cells.values())
    return Finding(parts, f"{points_text(every)}: {'; '.join(texts)}", every, fewest)


def _random_too(setting: pd.DataFrame, rows: pd.DataFrame) -> str:
    """What random flips cost in the cells of these rows, in words."""
    beside = random_in(setting, rows)
    if beside.empty:
        return ""
    return f" (random flips: {percent(estimate(by_seed(beside['harm'], beside)).mean)})"


def adam(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 8."""
    rows = points[(points["dataset"] == "mnist") & (points["model"] == "logistic") & (points["workers"] == 0)]
    rows = harmed(attacked(rows[rows["patience"] == 0], goal="untargeted"), statistic)
    lengths = [set(rows[rows["optimizer"] == name]["epochs"]) for name in ("adam", "sgd")]
    rows = rows[rows["epochs"].isin(set.intersection(*lengths))]  # a short training compares with a short one
    wide: Any = wide_of(rows["harm"], rows, ["optimizer", *CELL])
    if wide.empty or not {"adam", "sgd"} <= set(wide.columns.get_level_values(0)):
        return None
    more = (wide["adam"] - wide["sgd"]).dropna(axis=1, how="all").dropna()
    if more.empty:
        return None
    every = estimate(more.mean(axis=1))
    cells = {cell_text(*cell): estimate(more[cell]) for cell in more.columns}
    above = [name for name, one in cells.items() if one.above]
    below = [name for name, one in cells.items() if one.below]
    parts: dict[str, bool | None] = {"": False if every.sure_high < POINT else None}
    if every.above:
        parts = {"": True} if not below else {name: name in above for name in cells}
    text = (
        f"Adam costs {points_text(every)} more, over {len(cells)} budgets; more in {len(above)}, "
        f"less in {len(below)} of them"
    )
    return Finding(parts, text, every, every.seeds)


def carries_over(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 10."""
    parts: dict[str, bool | None] = {}
    texts, seeds = [], []
    for dataset, model in DEEP:
        setting = harmed(usual(points, dataset, model), statistic)
        rows = attacked(setting, goal="untargeted")
        if rows.empty:
            continue
        rows = rows[budget(rows) == budget(rows).max()]
        rows = rows[rows["write_access"] == rows["write_access"].max()]
        found = estimate(rows["harm"])
        holds = True if found.mean >= POINT and found.above else None
        parts[f"{dataset} {model}"] = False if found.sure_high < POINT else holds
        alone = ", 1 seed" if found.seeds < 2 else ""
        texts.append(
            f"{dataset} {model} {points_text(found)}{_random_too(setting, rows)} at k·b = "
            f"{budget(rows).iloc[0]:g}{alone}"
        )
        seeds.append(found.seeds)
    if not parts:
        return None
    absent = [name for d, m in DEEP if (name := f"{d} {m}") not in parts]
    parts |= dict.fromkeys(absent)
    text = "; ".join(texts) + (f"; not measured: {', '.join(absent)}" if absent else "")
    return Finding(parts, text, None, min(seeds))


def f1_follows(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 11."""
    rows = points[(points["dataset"] == "mnist") & (points["model"] == "logistic") & (points["patience"] > 0)]
    rows = rows[(rows["selection"] == PRINTED) | (rows["write_access"] == 0)]
    both = [wide_of(rows[f"{m}.{statistic}"], rows, CELL) for m in ("accuracy", "macro_f1")]
    if rows.empty or both[0].shape[1] < 3:
        return None
    cells = both[0].shape[1]
    found = jackknifed(
        pd.concat(both, axis=1),
        lambda v: float(np.corrcoef(_ranks(v[:, :cells].mean(0)), _ranks(v[:, cells:].mean(0)))[0, 1]),
    )
    follows = True if found.sure_low >= F1_CORRELATION else None
    if found.sure_high < F1_CORRELATION:
        follows = False
    stopped = int((rows["lasted"] < rows["epochs"]).sum())
    parts = {"training to the end": follows, "early stopping": follows if stopped else None}
    text = (
        f"rank correlation {with_interval(found, '.3f')} over {cells} budgets; "
        f"{stopped} of {len(rows)} runs stopped early"
    )
    return Finding(parts, text, found, found.seeds)


def beats_random(points: pd.DataFrame, statistic: str) -> Finding | None:
    """Claim 12: cells in which neither harms by a point are left out; in the others the attack must not lose.

    From half of the labels on, random flips of two classes teach the opposite: no attack beats that.
    """
    rows = points[(points["write_access"] > 0) & (points["workers"] == 0)]
    rows = harmed(rows[(budget(rows) < HALF) | (rows["dataset"] != "mnist-01")], statistic)
    random = rows[rows["selection"] == RANDOM]
    setting = ["dataset", "model", "optimizer", "patience", "epochs"]
    parts: dict[str, bool | None] = {}
    texts, seeds = [], []
    for values, group in rows[rows["selection"].isin((PRINTED, OPTIMAL))].groupby([*setting, "selection"]):
        beside = random[(random[setting] == list(values[:-1])).all(axis=1)]
        duels = _duels(group, beside)
        if not duels:
            continue
        name = _setting_text(values, int(rows["epochs"].max()))
        won = [estimate(duel) for duel in duels]
        above, below = sum(one.above for one in won), sum(one.below for one in won)
        fewest = min(one.seeds for one in won)
        loses = below > CHANCE * len(won)
        parts[name] = False if loses else True if above > len(won) / 2 else None
        every = estimate(complete(pd.concat(duels, axis=1)).mean(axis=1))
        alone = ", 1 seed" if fewest < 2 else ""
        texts.append(
            f"{name}: {points_text(every)} more than random; surely more in {above}, less in {below} of "
            f"{len(won)} cells{alone}"
        )
        seeds.append(fewest)
    if not parts:
        return None
    steps = rows["step_stability"].dropna()
    stable = f"; step up to {steps.max():.3g} times one that is surely stable" if len(steps) else ""
    return Finding(parts, "; ".join(texts) + stable, None, min(seeds))


def _setting_text(values: tuple[Any, ...], longest: int) -> str:
    dataset, model, optimizer, patience, epochs, selection = values
    words = [dataset, model, "adam" if optimizer == "adam" else "", "early stopping" if patience else ""]
    short = f"({epochs} epochs)" if epochs < longest else ""
    return " ".join(filter(None, [*words, selection, short]))


def _duels(group: pd.DataFrame, beside: pd.DataFrame) -> list[pd.Series]:
    """By seed what the attack costs more than random flips, for each cell in which either costs something."""
    rivals = {cell: rows.set_index("seed")["harm"] for cell, rows in beside.groupby(CELL)}
    found = []
    for (k, b, _), rows in group.groupby([*CELL, "goal"]):
        rival = rivals.get((k, b))
        own = rows.set_index("seed")["harm"]
        if rival is None or max(own.mean(), rival.mean()) < POINT:
            continue
        more = (own - rival).dropna()
        if len(more):
            found.append(more)
    return found


def _ranks(values: np.ndarray) -> np.ndarray:
    return pd.Series(values).rank().to_numpy()
