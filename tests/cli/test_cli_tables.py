"""Tables: what does not differ is said once, no figure is ever cut, however narrow the terminal."""

import re
from pathlib import Path

import pandas as pd
import pytest
from cli_said import Turncoat

from turncoat.cli.results import show
from turncoat.cli.show import Column, print_table

FIGURE = r"-?\d\.\d{3}"
INTERVAL = rf"{FIGURE} \[{FIGURE}, {FIGURE}\]"
COLUMNS = [
    Column("data set"),
    Column("selection"),
    Column("k·b", "figure", spare=True),
    Column("accuracy [95 %]", "figure"),
    Column("notes", "prose"),
]
ROWS = [
    ["digits", "optimal", "0.25", "0.703 [0.690, 0.716]", "the step is far too long to be stable"],
    ["digits", "random", "0.25", "0.901 [0.899, 0.903]", ""],
    [None, "clean", "0", "0.906 [0.903, 0.909]", ""],
]
GRID = """
epochs = 1
learning_rate = 0.2
seeds = 2
workers = 10
local_budget = [0.5, 1.0]
hostile = [1, 3]
aggregator = ["mean", "nnm+trimmed_mean"]
scale = ["unit", "raw"]
"""


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """What a table looks like in so many columns."""

    def printed(width: int, columns=COLUMNS, rows=ROWS) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(width))
        print_table(columns, rows)
        lines = capsys.readouterr().out.splitlines()
        assert all(len(line) <= width for line in lines)
        return lines

    return printed


def test_what_all_rows_share_is_said_once(at) -> None:
    lines = at(120)
    assert lines[0] == "data set digits"
    assert "digits" not in "".join(lines[1:])
    assert len([line for line in lines if "[95 %]" in line]) == 1


def test_a_single_row_keeps_its_columns(at) -> None:
    assert "digits" in at(120, rows=ROWS[:1])[3]


def test_blank_columns_are_left_out(at) -> None:
    assert "notes" not in "".join(at(120, rows=ROWS[1:]))


@pytest.mark.parametrize("width", [100, 80, 70, 60, 52, 40, 30])
def test_no_figure_is_cut_at_any_width(at, width: int) -> None:
    text = "\n".join(at(width))
    assert re.findall(INTERVAL, text) == [row[3] for row in ROWS]
    assert "…" not in text


def test_narrower_tables_come_before_blocks(at) -> None:
    assert "│" in "".join(at(100))
    plain = at(66)
    assert "│" not in "".join(plain) and "k·b" in "".join(plain)
    shorter = at(60)
    assert shorter[-1] == "left out for want of width: k·b"
    blocks = at(40)
    assert "selection optimal" in blocks and "  k·b 0.25" in blocks


def test_brackets_in_names_are_no_markup(at) -> None:
    rows = [["[red].csv", "a", "1", "0.500 [0.400, 0.600]", ":smile:"], ["b.csv", "a", "1", "", ""]]
    text = "\n".join(at(100, rows=rows))
    assert "[red].csv" in text and ":smile:" in text


@pytest.mark.parametrize("width", [80, 40])
def test_every_command_fits_its_figures(
    turncoat: Turncoat, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    Path("grid.toml").write_text(GRID)
    monkeypatch.setenv("COLUMNS", str(width))
    attack = ("attack", "--write-access", 0.5, "--epochs", 1, "--seeds", 2)
    for words, most in ((attack, 5), (("sweep", "grid.toml", "--quiet"), 0), (("results",), 40)):
        said = turncoat(*words)
        assert said.status == 0, said.err
        assert all(len(line) <= width for line in said.out.splitlines())
        assert "…" not in said.out
        assert len(re.findall(INTERVAL, said.out)) >= most
        assert len(re.findall(r"\[", re.sub(INTERVAL, "", said.out.replace("[95 %]", "")))) == 0
    assert "digits" in said.out.splitlines()[0] and said.out.count("digits") == 1


def test_shares_are_shown_with_four_digits(capsys: pytest.CaptureFixture[str]) -> None:
    """One hostile worker of three has k = 0.3333333333333333."""
    figures = {
        f"{name}.{end}": 0.5 for name in ("accuracy", "macro_f1", "harm") for end in ("mean", "low", "high")
    }
    row = {
        "dataset": "digits",
        "local_budget": 0.5,
        "selection": "optimal",
        "flips": 9,
        "seeds": 2,
        "warnings": "",
    }
    rows = [row | figures | {"write_access": k, "global_budget": k / 2} for k in (1 / 3, 0.25)]
    show(pd.DataFrame(rows))
    out = capsys.readouterr().out
    assert "0.3333 " in out and "0.33333" not in out and "0.1667 " in out and "0.25 " in out
