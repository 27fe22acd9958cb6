"""Section 7: the labels as they are: which look wrong, and which would harm most if they were."""

import dataclasses

import numpy as np
import pandas as pd

from turncoat.auditing.attacks import Outcomes
from turncoat.auditing.folds import by_stratified_folds, doubt
from turncoat.auditing.setting import Setting
from turncoat.defences.confident import is_installed, label_issues
from turncoat.report.report import Block, Column, Section, Table, Text

SHOWN = 20
SUSPICIOUS, HARMFUL = "looks wrong", "would harm most if wrong"


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """Both lists as one table each, worst first: of all training rows that are suspicious, and as many harmful ones."""

    suspicious: pd.DataFrame
    harmful: pd.DataFrame
    chances: np.ndarray  # (n, c) out of fold

    def together(self) -> pd.DataFrame:
        """One table for a file: list, place in it, row of the file, label, and what the label would rather be."""
        parts = ((SUSPICIOUS, self.suspicious), (HARMFUL, self.harmful))
        return pd.concat(
            [part.assign(list=name, place=range(1, len(part) + 1)) for name, part in parts], ignore_index=True
        )[["list", "place", "row", "label", "instead", "value"]]


def check_rows(setting: Setting, outcomes: Outcomes) -> Rows:
    """Both lists."""
    names, y = np.array(setting.names, dtype=object), setting.dataset.y.numpy()
    chances = by_stratified_folds(setting, setting.dataset.y.unsqueeze(1))[0]
    doubts = doubt(chances, y)
    others = chances.copy()
    others[np.arange(len(y)), y] = -1.0
    order = np.argsort(-doubts, kind="stable")
    order = order[: max(SHOWN, int((doubts > 0).sum()))]
    suspicious = pd.DataFrame(
        {"row": setting.rows[order], "label": names[y[order]], "instead": names[others.argmax(1)[order]],
         "value": chances[order, y[order]]}
    )  # fmt: skip
    if is_installed():
        suspicious["marked"] = label_issues(y, chances)[order]
    sums = outcomes.sums.double().numpy()
    gains = sums[np.arange(len(y)), y] - sums.min(1)
    worst = np.argsort(-gains, kind="stable")[: len(order)]
    scale = gains.sum() or 1.0
    harmful = pd.DataFrame(
        {"row": setting.rows[worst], "label": names[y[worst]], "instead": names[sums.argmin(1)[worst]],
         "value": gains[worst] / scale}
    )  # fmt: skip
    return Rows(suspicious, harmful, chances)


def the_labels(setting: Setting, rows: Rows, more: tuple[Block, ...]) -> Section:
    """Both lists' beginnings, and what else is known of the labels."""
    doubted = int((doubt(rows.chances, setting.dataset.y.numpy()) > 0).sum())
    lead = (
        f"For {doubted:,} of {setting.dataset.n:,} training labels, models that have not learned from them think"
        " another label likelier; that may be a wrong label, or a hard row."
    )
    columns = [
        Column("row of the file", "count"),
        Column("label"),
        Column("likelier"),
        Column("chance of the label", "chance"),
    ]
    table = rows.suspicious
    shown = [
        tuple(row[name] for name in ("row", "label", "instead", "value"))
        for row in table[:SHOWN].to_dict("records")
    ]
    if "marked" in table:
        columns.append(Column("cleanlab marks it"))
        shown = [
            (*row, "yes" if mark else "no") for row, mark in zip(shown, table["marked"][:SHOWN], strict=True)
        ]
    suspicious = Table(
        "The labels that look wrong most, out of fold", tuple(columns), tuple(map(_plain, shown))
    )
    harmful = Table(
        "The rows whose labels would harm most if they were wrong, by label scores over the training",
        (
            Column("row of the file", "count"),
            Column("label"),
            Column("worst label"),
            Column("share of all that flips could do", "percent"),
        ),
        tuple(
            _plain(tuple(row[n] for n in ("row", "label", "instead", "value")))
            for row in rows.harmful[:SHOWN].to_dict("records")
        ),
    )
    note = Text("Rows are counted from 1, without the header; --rows FILE.csv writes both lists whole.")
    return Section("The labels you have", lead, (suspicious, harmful, note, *more))


def _plain(row: tuple[object, ...]) -> tuple[str | float, ...]:
    return tuple(v if isinstance(v, str) else float(v) for v in row)  # type: ignore[arg-type]
