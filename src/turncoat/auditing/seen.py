"""Section 4: would you see it?"""

import numpy as np
import torch
from scipy.stats import hypergeom

from turncoat.analysis.estimate import estimate
from turncoat.auditing.attacks import Attack, Outcomes, tried
from turncoat.auditing.folds import by_stratified_folds, doubt
from turncoat.auditing.setting import Setting, Told
from turncoat.defences.confident import is_installed, label_issues
from turncoat.report.report import Block, Cell, Column, Section, Table, Text

CHECKS = (20, 50, 100, 200, 500, 1000)  # labels that are checked by hand
SURE = 0.95
SHARE = 0.05  # of wrong labels that are looked for


def would_you_see_it(setting: Setting, outcomes: Outcomes, told: Told) -> Section:
    """What a tool and a check by hand find of each attack's labels, where these stay in the table."""
    share = min(setting.shares, key=lambda one: abs(one - SHARE))
    lasting = [attack for attack in tried(setting) if attack.schedule == "once"]
    checks = [m for m in CHECKS if m < setting.dataset.n]
    tools, hands = [], []
    first = 0
    for number, attack in enumerate(lasting):
        told("looking for wrong labels", number / len(lasting))
        one_tool, one_hand = _found(setting, outcomes, attack, share, checks)
        tools += one_tool
        hands += one_hand
        first = first or least_check(setting.dataset.n, attack.threat(1.0, share).flips(setting.dataset.n))
    lead = (
        f"If {share:.0%} of the labels are wrong, a check by hand of {first} labels drawn at random finds at least"
        f" one wrong with {SURE:.0%} certainty, whoever chose them."
    )
    columns = (
        Column("attack and check"),
        *(Column(f"of {m:,} checked", "number") for m in checks),
    )
    table = Table(
        f"Wrong labels that a check by hand finds: at random at least so many with {SURE:.0%} certainty"
        " (hypergeometric); of the most suspicious on the mean over seeds [95 %]", columns, tuple(hands),
    )  # fmt: skip
    blocks: list[Block] = [table, *_tools(tools)]
    note = "Labels that are chosen anew in each epoch never lie in the table, so that nobody can check them there."
    return Section("Would you see it?", lead, (*blocks, Text(note)))


def least_check(rows: int, wrong: int) -> int:
    """The fewest labels, drawn at random, among which at least one is wrong with 95 % certainty."""
    low, high = 1, max(1, rows)
    while low < high:
        middle = (low + high) // 2
        if hypergeom.sf(0, rows, wrong, middle) >= SURE:
            high = middle
        else:
            low = middle + 1
    return low


def surely_found(rows: int, wrong: int, checked: int) -> int:
    """How many wrong labels a random check of so many finds at least, with 95 % certainty."""
    return max(0, int(hypergeom.ppf(1 - SURE, rows, wrong, checked)))


def _found(
    setting: Setting, outcomes: Outcomes, attack: Attack, share: float, checks: list[int]
) -> tuple[list[tuple[Cell, ...]], list[tuple[Cell, ...]]]:
    runs = outcomes.of(attack.threat(1.0, share))
    labels = torch.stack([one.labels for one in runs if one.labels is not None], 1)
    chances = by_stratified_folds(setting, labels)
    wrong = (labels != setting.dataset.y.unsqueeze(1)).numpy()
    n, count = len(wrong), int(wrong.sum(0).min())
    suspects = [np.argsort(-doubt(chances[s], labels[:, s].numpy()), kind="stable") for s in range(len(runs))]
    suspicious: list[Cell] = []
    for m in checks:
        hits = estimate(float(wrong[order[:m], s].sum()) for s, order in enumerate(suspects))
        suspicious.append(hits.with_interval)
    hands: list[tuple[Cell, ...]] = [
        (f"{attack.name}: at random", *(surely_found(n, count, m) for m in checks)),
        (f"{attack.name}: the most suspicious", *suspicious),
    ]
    if not is_installed():
        return [], hands
    tools = [(label_issues(labels[:, s].numpy(), chances[s]), wrong[:, s]) for s in range(len(runs))]
    precision = estimate(float(w[found].mean()) if found.any() else 0.0 for found, w in tools)
    recall = estimate(float(found[w].mean()) for found, w in tools)
    told = estimate(float(found.sum()) for found, _ in tools)
    cells = (one.with_interval for one in (told, precision, recall))
    return [(attack.name, *cells)], hands


def _tools(rows: list[tuple[Cell, ...]]) -> list[Block]:
    if not rows:
        words = "What cleanlab finds is not shown, for it is not installed: pip install 'turncoat[labels]'."
        return [Text(words)]
    columns = (
        Column("attack"), Column("labels it marks", "count"), Column("of these wrong (precision)", "percent"),
        Column("of the wrong marked (recall)", "percent"),
    )  # fmt: skip
    return [Table("What cleanlab finds, with out-of-fold probabilities", columns, tuple(rows))]
