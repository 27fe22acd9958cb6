"""A report that has one of everything, with names as bad as data can have them."""

import pytest
from samples import NASTY, drawn

from turncoat.report.report import Choice, Column, Report, Section, Table, Text


@pytest.fixture(scope="session")
def report() -> Report:
    columns = (
        Column("who"),
        Column("harm", "percent", heat=True),
        Column("rows", "count"),
        Column("p", "share"),
    )
    rows = tuple(
        (f"owner {i}", (i / 100, i / 200, i / 50), 1000 * i, None if i == 3 else i / 7) for i in range(12)
    )
    views = tuple(
        ((attack, measure), (drawn(f"{attack} {measure}"),))
        for attack in ("random", NASTY)
        for measure in ("accuracy", "macro F1")
    )
    table = Table(f"Harm by {NASTY}", columns, (*rows, (NASTY, 0.5, 2, float("nan"))))
    sections = (
        Section(
            "First", "What is first.", (Text("Plain words."), Text("unstable-step: too long", warning=True))
        ),
        Section("Harm", "How much it costs.", (Choice(("attack", "measure"), views), table)),
    )
    return Report(f"Audit of {NASTY}", "One sentence.", sections, "Made by turncoat.")
