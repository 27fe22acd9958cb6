"""``turncoat audit`` at the command line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_said import Turncoat

from turncoat.auditing import audit as audits
from turncoat.auditing import setting


@pytest.fixture
def table(turncoat: Turncoat, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(setting, "QUICK_ROWS", 600)
    monkeypatch.setattr(setting, "QUICK_SHARES", (0.05, 0.2))
    draw = np.random.default_rng(2)
    y = draw.integers(0, 2, 120)
    frame = pd.DataFrame({"a": draw.normal(size=120) + 2 * y, "b": draw.normal(size=120), "outcome": y})
    frame.to_csv("t.csv", index=False)
    return "t.csv"


def test_an_audit_of_a_table(turncoat: Turncoat, table: str) -> None:
    Path("costs.csv").write_text(",0,1\n0,0,1\n1,9,0\n")
    words = ("audit", table, "--label", "outcome", "--quick", "-o", "a.html", "--rows", "check.csv")
    said = turncoat(*words, "--costs", "costs.csv")
    assert said.status == 0, said.err
    assert said.out.endswith("a.html\na.json\ncheck.csv\n") and "Whom it hits" in said.out
    assert "average test row costs" in Path("a.json").read_text()
    assert list(pd.read_csv("check.csv").columns) == ["list", "place", "row", "label", "instead", "value"]


def test_what_cannot_be_is_told_before_anything_is_trained(turncoat: Turncoat, table: str) -> None:
    Path("costs.csv").write_text(",0,1\n0,0,1\n1,9,0\n")
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    for words, told in (
        (("-o", "none/a.html"), "there is no folder none"),
        (("-o", "a.html", "--rows", "a.json"), "is named for two files"),
        (("--rows", table), "t.csv is read here, and this would overwrite it"),
        (("--costs", "costs.csv", "--rows", "./costs.csv"), "costs.csv is read here"),
        (("--costs", "none.csv"), "none.csv: there is no such file"),
        (("--drop", "a,b"), "no column beside the label"),
        (("--owner", "a", "--model", "mpl"), "unknown model"),
    ):
        said = turncoat("audit", table, "--label", "outcome", *words)
        assert said.status == 2 and told in said.err and said.err.count("\n") == 1, said.err
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


def test_a_stop_leaves_what_is_done(turncoat: Turncoat, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(audits, "whom_it_hits", stopped)
    said = turncoat("audit", table, "--label", "outcome", "--quick", "-o", "a.html")
    assert said.status == 130
    found = json.loads(Path("a.json").read_text())
    titles = [section["title"] for section in found["sections"]]
    assert titles == ["Not complete", "The data and the model", "How much harm"]
    monkeypatch.setattr(audits, "choose_setting", stopped)
    early = turncoat("audit", table, "--label", "outcome", "-o", "b.html", "--quick")
    assert early.status == 130 and "nothing is written" in early.err and "sweep" not in early.err
    assert not Path("b.html").exists()
