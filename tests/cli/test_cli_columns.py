"""Tables as people have them at the command line: what is left out and filled in is said."""

import json
from pathlib import Path

import pytest
from cli_said import Turncoat

from turncoat.sweep.store import open_store


@pytest.fixture
def table(turncoat: Turncoat) -> str:
    rows = [
        f"p{i},{i // 3},{i % 7 if i % 5 else ''},{'ab'[i % 2]},{'ill' if i % 4 else 'well'}"
        for i in range(60)
    ]
    Path("t.csv").write_text("\n".join(["case,patient,age,ward,outcome", *rows]))
    return "t.csv"


QUICK = ("--epochs", 1, "--seeds", 1, "--write-access", 0.5)


def test_attack_says_what_was_done(turncoat: Turncoat, table: str) -> None:
    words = (
        "attack",
        "--dataset",
        table,
        "--label",
        "outcome",
        "--drop",
        "ward",
        "--group",
        "patient",
        *QUICK,
    )
    said = turncoat(*words)
    assert said.status == 0, said.err
    assert "column 'case': left out: it holds another value in each row" in said.out
    assert (
        "column 'ward': left out as asked" in said.out and "column 'age': 12 of 60 values missing" in said.out
    )
    found = json.loads(turncoat(*words, "--json").out)
    assert len(found["columns"]) == 4 and found["problem"]["drop"] == "ward"
    said = turncoat(*words[:4], "outcome", "--drop", "case,age", "--drop", "patient", *QUICK, "--json")
    assert json.loads(said.out)["problem"]["drop"] == "case,age,patient"
    said = turncoat("attack", "--dataset", table, "--label", "outcome", "--drop", "wrd", *QUICK)
    assert said.status == 2 and "did you mean 'ward'" in said.err and said.err.count("\n") == 1


def test_a_sweep_over_columns(turncoat: Turncoat, table: str) -> None:
    Path("g.toml").write_text(
        'dataset = "t.csv"\nlabel = "outcome"\ndrop = ["ward", "age"]\ngroup = "patient"\n'
        "epochs = 1\nseeds = 1\nwrite_access = 0.5"
    )
    said = turncoat("sweep", "g.toml", "--store", "r.db")
    assert said.status == 0, said.err
    assert (
        "t.csv, drop ward, group patient: column 'case': left out" in said.out
        and "t.csv, drop age, group patient: " in said.out
    )
    with open_store("r.db") as opened:
        assert set(opened.summary()["drop"]) == {"ward", "age"}
    assert "6 cells, 6 of them trained" in said.out
    assert "nothing to train" in turncoat("sweep", "g.toml", "--store", "r.db").out
