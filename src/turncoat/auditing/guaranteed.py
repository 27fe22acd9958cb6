"""Section 6: what is guaranteed, whoever flips and however."""

import math

from turncoat.analysis.estimate import Estimate, estimate
from turncoat.auditing.attacks import Outcomes, named, strongest, tried
from turncoat.auditing.pictures import Line, lines
from turncoat.auditing.setting import Setting, Told
from turncoat.certificates.certify import certify, usual_partitions
from turncoat.errors import TurncoatError
from turncoat.report.report import Cell, Column, Picture, Section, Table, Text

TITLE = "What is guaranteed"
MOST = 1000  # models that vote


def what_is_guaranteed(setting: Setting, outcomes: Outcomes, told: Told) -> Section:
    """Certified accuracy of many small models that vote, beside one model under the strongest flips found."""
    dataset = setting.dataset
    partitions = min(MOST, usual_partitions(dataset))
    try:
        found = certify(
            dataset, setting.data.model.name, partitions=partitions,
            progress=lambda done, total: told("certifying", done / total),
        )  # fmt: skip
    except TurncoatError as error:
        return Section(TITLE, "Nothing could be certified on these data.", (Text(str(error)),))
    lasting = [attack for attack in tried(setting) if attack.schedule == "once"]
    flips = {share: lasting[0].threat(1.0, share).flips(dataset.n) for share in setting.shares}
    sure = {share: found.accuracy_under(count) for share, count in flips.items()}
    worst = {
        share: strongest(outcomes, [attack.threat(1.0, share) for attack in lasting])
        for share, count in flips.items() if count
    }  # fmt: skip
    attacked = {share: estimate(one.accuracy for one in outcomes.of(own)) for share, own in worst.items()}
    first = next((share for share in flips if flips[share]), setting.shares[0])
    lead = (
        f"If {partitions:,} small models vote, each trained on rows of its own, {sure[first]:.1%} of the test rows stay"
        f" right under any {flips[first]:,} flips ({first:.0%} of the labels); without an attacker"
        f" {found.clean_accuracy:.1%} are right."
    )
    rows: list[tuple[Cell, ...]] = [
        (share, flips[share], sure[share], one.with_interval, named(setting, worst[share]))
        for share, one in attacked.items()
    ]
    note = (
        "The guarantee is for flips that are fixed before training, and for labels alone, not for features."
    )
    return Section(TITLE, lead, (_picture(setting, sure, attacked), _table(rows), Text(note)))


def _picture(setting: Setting, sure: dict[float, float], attacked: dict[float, Estimate]) -> Picture:
    certain = [Estimate(one, math.nan, math.nan, 1) for one in sure.values()]
    drawn = [
        Line("votes, guaranteed", list(sure), certain),
        Line("one model, strongest attack", list(attacked), list(attacked.values())),
    ]
    caption = "What no flips can take from the votes, and what the strongest found take from one model."
    return lines(drawn, setting.chance, "always guessing", "accuracy", caption)


def _table(rows: list[tuple[Cell, ...]]) -> Table:
    columns = (
        Column("wrong labels", "percent"), Column("rows", "count"), Column("votes: guaranteed accuracy", "percent"),
        Column("one model, strongest attack [95 %]", "percent"), Column("found by"),
    )  # fmt: skip
    return Table("Guaranteed and attacked", columns, tuple(rows))
