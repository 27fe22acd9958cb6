"""Who labelled or sent the rows: what each owner could do alone and with others, and whose labels stand apart."""

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from turncoat import metrics
from turncoat.analysis.estimate import Estimate, estimate
from turncoat.attack.selection import flip_labels
from turncoat.auditing.attacks import Outcomes, confusion
from turncoat.auditing.folds import all_rows
from turncoat.auditing.setting import Setting, Told
from turncoat.errors import TurncoatError
from turncoat.randomness import generator
from turncoat.report.report import Block, Column, Table
from turncoat.training.own import trained_tiles

MOST = 12  # owners whose harm is measured, those with most rows


def check_owners(name: str, owners: pd.Series) -> None:
    """Judge an owner column.

    Raises:
        TurncoatError: if a row has no owner, or all have the same.
    """
    if owners.isna().any():
        raise TurncoatError(
            f"owner column {name!r} is empty in {int(owners.isna().sum())} training rows: fill it in"
        )
    if owners.nunique() < 2:
        raise TurncoatError(
            f"owner column {name!r} names one owner alone, {str(owners.iloc[0])!r}, who may write to everything: leave"
            " --owner out"
        )


def of_owners(setting: Setting, outcomes: Outcomes, chances: np.ndarray, told: Told) -> tuple[Block, ...]:
    """Each owner's harm alone and together with those before it, and how much its labels are doubted."""
    assert setting.owners is not None
    words = setting.owners.astype(str).to_numpy()
    counts = pd.Series(words).value_counts()
    names = [str(name) for name in counts.index[:MOST]]
    owned = [torch.from_numpy(np.flatnonzero(words == name)) for name in names]
    alone = _harm(setting, outcomes, owned, told, "measuring what each owner could do")
    order = sorted(range(len(names)), key=lambda i: -alone[i].mean)
    joined = [torch.cat([owned[i] for i in order[: k + 1]]) for k in range(len(order))]
    together = _harm(setting, outcomes, joined, told, "measuring what owners could do together")
    wrong = chances.argmax(1) != setting.dataset.y.numpy()
    everyone = np.arange(len(wrong))
    others = [wrong[np.setdiff1d(everyone, rows.numpy())] for rows in owned]
    rows = tuple(
        (names[i], len(owned[i]), len(owned[i]) / setting.dataset.n, alone[i].with_interval,
         together[place].with_interval, float(wrong[owned[i].numpy()].mean()), float(others[i].mean()))
        for place, i in enumerate(order)
    )  # fmt: skip
    columns = (
        Column(setting.owner), Column("rows", "count"), Column("write access", "percent"),
        Column("harm alone [95 %]", "percent"), Column("harm with those above [95 %]", "percent"),
        Column("labels that models doubt", "percent", heat=True), Column("of all others' labels", "percent", heat=True),
    )  # fmt: skip
    left = f" ({len(counts) - MOST} with fewer rows are left out)" if len(counts) > MOST else ""
    caption = (
        f"Owners by {setting.owner}{left}: accuracy lost if an owner flips those of its labels that harm most,"
        " chosen once; and how many of its labels an out-of-fold model disagrees with"
    )
    return (Table(caption, columns, rows),)


def _harm(
    setting: Setting, outcomes: Outcomes, owned: list[Int[Tensor, " _"]], told: Told, what: str
) -> list[Estimate]:
    """Accuracy that is lost if the labels of these rows are flipped to their worst, over the seeds."""
    y = setting.dataset.y
    labellings = [y, *(_flipped(outcomes, y, rows) for rows in owned)]
    replicas = [(labels, seed) for seed in setting.seeds for labels in labellings]
    own = torch.stack([labels for labels, _ in replicas])
    parts = all_rows(setting.dataset.n, len(replicas))
    accuracies: list[float] = []
    data = setting.data
    for _, params in trained_tiles(
        data.model, setting.recipe, data.x, own, parts, [seed for _, seed in replicas]
    ):
        accuracies += metrics.accuracy(confusion(data.model, params, data.x_test, data.y_test)).tolist()
        told(what, len(accuracies) / len(replicas))
    table = np.array(accuracies).reshape(len(setting.seeds), len(labellings))
    return [estimate(table[:, 0] - table[:, 1 + i]) for i in range(len(owned))]


def _flipped(outcomes: Outcomes, y: Int[Tensor, " n"], rows: Int[Tensor, " _"]) -> Int[Tensor, " n"]:
    return flip_labels("optimal", outcomes.sums, y, rows, len(rows), generator(0, "owners"))
