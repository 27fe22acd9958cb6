"""Section 3: whom it hits."""

import numpy as np
from jaxtyping import Float

from turncoat.analysis.estimate import estimate
from turncoat.auditing.attacks import Outcomes, mean_confusion, run
from turncoat.auditing.harm import most_harm
from turncoat.auditing.pictures import bars
from turncoat.auditing.setting import Setting, Told
from turncoat.report.report import Block, Choice, Column, Section, Table
from turncoat.threat import CLEAN, Threat

MOST = 6  # pairs of classes that are tried
PORTIONS = (0.25, 0.5, 0.75, 1.0)  # of a class's labels
SHOWN = 30  # classes of a picture and of a confusion table

Costs = Float[np.ndarray, "c c"]


def whom_it_hits(setting: Setting, outcomes: Outcomes, costs: Costs | None, told: Told) -> Section:
    """Recall and confusion by class, the pair that is easiest to exchange, and what errors cost."""
    strongest, _ = most_harm(setting, outcomes)
    before, after = mean_confusion(outcomes.of(CLEAN)), mean_confusion(outcomes.of(strongest))
    loss = before.diagonal() - after.diagonal()
    worst = int(loss.argmax())
    lead = (
        f"Class {setting.names[worst]!r} loses most: {before[worst, worst]:.1%} of its test rows are found while labels"
        f" are clean, {after[worst, worst]:.1%} under the strongest attack ({strongest.global_budget:.0%} of labels)."
    )
    order = np.argsort(-loss, kind="stable")
    most = order[:SHOWN]
    names = [setting.names[c] for c in most]
    picture = bars(
        names, {"clean": before.diagonal()[most].tolist(), "attacked": after.diagonal()[most].tolist()},
        "share of a class's test rows that are found", "Recall by class, those that lose most first.",
    )  # fmt: skip
    recall = Table(
        "Recall by class",
        (
            Column("class"), Column("clean", "percent", heat=True), Column("attacked", "percent", heat=True),
            Column("lost", "percent"),
        ),
        tuple((setting.names[c], before[c, c], after[c, c], loss[c]) for c in order),
    )  # fmt: skip
    tables = (
        (("while labels are clean",), (_confusion(setting, before, "while labels are clean"),)),
        (("under the strongest attack",), (_confusion(setting, after, "under the strongest attack"),)),
    )
    blocks: list[Block] = [picture, recall, Choice(("confusion",), tables), *_pairs(setting, before, told)]
    if costs is not None:
        blocks.append(_costs(outcomes, strongest, costs))
    return Section("Whom it hits", lead, tuple(blocks))


def _confusion(setting: Setting, shares: Float[np.ndarray, "c c"], when: str) -> Table:
    names = setting.names[:SHOWN]
    rows = tuple((name, *shares[c, : len(names)].tolist()) for c, name in enumerate(names))
    columns = (Column("true class"), *(Column(f"as {name}", "percent", heat=True) for name in names))
    return Table(
        f"Of each class's test rows (a row), the share that is taken for each class (a column), {when}",
        columns,
        rows,
    )


def _pairs(setting: Setting, clean: Float[np.ndarray, "c c"], told: Told) -> list[Block]:
    """How many labels of one class must read as the other, until most of its test rows are taken for that."""
    n, counts = setting.dataset.n, np.bincount(setting.dataset.y, minlength=setting.dataset.classes)
    mixed = clean.copy()
    np.fill_diagonal(mixed, -1.0)
    pairs = [divmod(int(place), len(counts)) for place in np.argsort(-mixed, axis=None, kind="stable")[:MOST]]
    pairs = [(source, aim) for source, aim in pairs if source != aim]
    threats = {
        (source, aim, portion): Threat(
            1.0, min(1.0, portion * counts[source] / n + 0.5 / n), selection=f"source_to_target:{source}:{aim}",
            schedule="once", placement="fixed",
        )
        for source, aim in pairs for portion in PORTIONS
    }  # fmt: skip
    found = run(setting, threats.values(), told, "exchanging pairs of classes")
    rows = []
    for source, aim in pairs:
        taken = [
            estimate(mean_confusion([one])[source, aim] for one in found.of(threats[source, aim, portion]))
            for portion in PORTIONS
        ]
        enough = next((p for p, one in zip(PORTIONS, taken, strict=True) if one.mean > 0.5), None)
        needed = None if enough is None else threats[source, aim, enough].flips(n)
        cells = (one.with_interval for one in taken)
        rows.append((f"{setting.names[source]} → {setting.names[aim]}", needed, clean[source, aim], *cells))
    rows.sort(key=lambda row: (row[1] is None, row[1] or 0))
    columns = (
        Column("pair"), Column("labels until most are taken", "count"), Column("taken while clean", "percent"),
        *(Column(f"with {portion:.0%} of the class's labels", "percent", heat=True) for portion in PORTIONS),
    )  # fmt: skip
    caption = (
        "Exchanging one class for another: the share of the first class's test rows that are taken for the second, once"
        " so many of its labels read as the second; the pairs that are mixed up most while labels are clean, the"
        " easiest first"
    )
    return [Table(caption, columns, tuple(rows))]


def _costs(outcomes: Outcomes, strongest: Threat, costs: Costs) -> Table:
    def cost(threat: Threat) -> tuple[float, float, float]:
        return estimate(
            float((one.confusion * costs).sum() / one.confusion.sum()) for one in outcomes.of(threat)
        ).with_interval

    rows = (("while labels are clean", cost(CLEAN)), ("under the strongest attack", cost(strongest)))
    return Table(
        "What an average test row costs, by the costs given",
        (Column("when"), Column("cost [95 %]", "number")),
        rows,
    )
