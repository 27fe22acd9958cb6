"""The other commands, from an empty folder."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from cli_said import Turncoat

import turncoat as package
from turncoat.cli import group, main, options
from turncoat.cli.figure import pairs
from turncoat.fields import descriptions
from turncoat.sweep.cells import KEYS, PARTS
from turncoat.sweep.store import open_store

GRID = """
epochs = 3
learning_rate = 0.2
seeds = 2
write_access = [0.0001, 0.5]
local_budget = [0.5, 1.0]
goal = ["untargeted", "targeted"]
"""


@pytest.fixture
def store(turncoat: Turncoat) -> str:
    """The name of a small store in the folder in which commands run."""
    Path("grid.toml").write_text(GRID)
    assert turncoat("sweep", "grid.toml", "--store", "s.db", "--quiet").status == 0
    return "s.db"


def test_help_and_version_do_not_wait_for_torch() -> None:
    code = (
        "import sys\n"
        "from turncoat.cli import main\n"
        "try: main()\n"
        "finally: print([m for m in ('torch', 'numpy', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    for words in (["--version"], ["--help"], ["attack", "--help"], ["sweep", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith("[]\n")


def test_version(turncoat: Turncoat) -> None:
    assert turncoat("--version").out == f"turncoat {package.__version__}\n"


def test_every_help_has_examples(turncoat: Turncoat) -> None:
    for words in ((), *((name,) for name in group.turncoat.commands)):
        said = turncoat(*words, "--help")
        assert said.status == 0 and "Examples:" in said.out


def test_every_described_field_is_an_option(turncoat: Turncoat) -> None:
    said = turncoat("attack", "--help").out
    for name, part in KEYS.items():
        flag = options.flag(name)
        assert re.search(rf"{flag}\b", said), name
        assert flag == (descriptions(PARTS[part])[name][1].flag or "--" + name.replace("_", "-"))


def test_a_sweep_ends_with_a_table(turncoat: Turncoat, store: str) -> None:
    said = turncoat("sweep", "grid.toml", "--store", store)
    assert said.status == 0 and said.err == ""
    assert "goal targeted | random" in said.out and "0 flips" in said.out
    assert "all 18 cells are there already; nothing to train" not in said.out.splitlines()[0]
    assert "cells are there already; nothing to train" in said.out


def test_a_sweep_that_attacks_nothing_says_so(turncoat: Turncoat) -> None:
    Path("clean.toml").write_text("epochs = 1\nseeds = 1\n")
    assert "no cell is attacked: add write_access" in turncoat("sweep", "clean.toml").out


def test_a_sweep_says_what_it_trained(turncoat: Turncoat) -> None:
    Path("grid.toml").write_text("epochs = 1\nseeds = 1\nwrite_access = 0.5\n")
    said = turncoat("sweep", "grid.toml")
    assert said.out.endswith("turncoat.db: 3 cells, 3 of them trained now\n")
    assert Path("turncoat.db").exists()
    assert turncoat("sweep", "grid.toml").out.endswith("all 3 cells are there already; nothing to train\n")


def test_attacks_of_one_budget_are_a_list(turncoat: Turncoat) -> None:
    Path("grid.toml").write_text(
        'epochs = 1\nseeds = 1\nwrite_access = 0.5\ngoal = ["untargeted", "targeted"]\n'
    )
    out = turncoat("sweep", "grid.toml").out
    assert out.startswith("digits (unit), logistic, k 0.5, b 1\n")  # once, for both
    assert len(re.findall(r"^│ (un)?targeted ", out, re.MULTILINE)) == 2
    assert "attacked | random" in out


def test_results_as_table_and_files(turncoat: Turncoat, store: str) -> None:
    table = turncoat("results", "--store", store)
    assert table.status == 0 and "0 flips" in table.out and "clean" in table.out
    words = ("--csv", "r.csv", "--json", "r.json", "--parquet", "r.parquet")
    assert turncoat("results", "--store", store, *words).status == 0
    with open_store(store) as opened:
        wanted = opened.summary()
    with Path("r.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(wanted) == len(json.loads(Path("r.json").read_text()))
    assert [float(row["accuracy.mean"]) for row in rows] == pytest.approx(wanted["accuracy.mean"].tolist())
    assert pd.read_parquet("r.parquet")["harm.mean"].tolist() == wanted["harm.mean"].tolist()
    assert turncoat("results", "--store", store, "--curves", "--csv", "c.csv").status == 0
    with open_store(store) as opened:
        assert len(pd.read_csv("c.csv")) == len(opened.curves())


def test_pictures(turncoat: Turncoat, store: str) -> None:
    assert turncoat("figure", "--list").out.count("\n") >= 4
    said = turncoat("figure", "heatmap", "--store", store, "--where", "goal=targeted", "-o", "h.png")
    assert said.status == 0, said.err
    assert Path("h.png").read_bytes().startswith(b"\x89PNG")


def test_data_list(turncoat: Turncoat, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TURNCOAT_DATA", str(tmp_path))
    said = turncoat("data", "list")
    assert said.status == 0 and "digits" in said.out and "absent" in said.out
    assert turncoat("data", "verify", "digits").out == "digits: as published\n"
    assert turncoat("data", "fetch", "digits").out == "digits: is built in\n"
    assert turncoat("data", "verify", "mnist").err.endswith("type: turncoat data fetch mnist\n")


def test_pairs() -> None:
    assert pairs(("goal=targeted", "write_access=0.5", "budgets=[0.1, 0.2]"), "--where") == {
        "goal": "targeted",
        "write_access": 0.5,
        "budgets": [0.1, 0.2],
    }


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("atack", "unknown command 'atack'; did you mean 'attack'?"),
        ("data verfy", "unknown command 'verfy'; did you mean 'verify'?"),
        ("data fetch", "which data sets?"),
        ("data fetch digits mnits", "unknown data set 'mnits'; did you mean 'mnist'?"),
        ("--versoin", "No such option '--versoin'. Did you mean '--version'?"),
        ("sweep absent.toml", "absent.toml: No such file or directory"),
        ("sweep bad.toml", "bad.toml: unknown key 'wirte_access'; did you mean 'write_access'?"),
        ("sweep --store no/s.db", "no/s.db: there is no folder no"),
        ("sweep --store text.db", "text.db is not a turncoat store"),
        ("sweep a b", "Got unexpected extra argument"),
        ("results", "turncoat.db: there is no such store; make one with: turncoat sweep"),
        ("results --store text.db", "text.db is not a turncoat store"),
        ("results --curves", "curves are too long for a table"),
        ("results --csv no/r.csv", "no/r.csv: there is no folder no"),
        ("figure", "which picture? type one of: "),
        ("figure heatmpa", "unknown figure 'heatmpa'; did you mean 'heatmap'?"),
        ("figure heatmap -o h.gif", "h.gif: "),
        ("figure heatmap -o no/h.png", "no/h.png: "),
        ("figure heatmap", "turncoat.db: there is no such store"),
    ],
)
def test_mistakes_are_one_line(turncoat: Turncoat, words: str, told: str) -> None:
    Path("bad.toml").write_text("wirte_access = 0.3\n")
    Path("text.db").write_text("these are words, not tables " * 100)
    before = sorted(Path().iterdir())
    said = turncoat(*words.split())
    assert said.status == 2 and said.out == ""
    assert said.err.startswith(f"turncoat: {told}")
    assert said.err.count("\n") == 1
    assert sorted(Path().iterdir()) == before, "something was left behind"


def test_bad_words_for_a_picture(turncoat: Turncoat, store: str) -> None:
    for words, told in (
        (("--where", "gaol=targeted"), "unknown column 'gaol'; did you mean 'goal'?"),
        (("--where", "goal"), "--where is 'goal', but must be a key and a value"),
        (("--metric", "acuracy"), "unknown metric 'acuracy'; did you mean 'accuracy'?"),
        (("--where", "epoch=2"), "unknown column 'epoch'"),
        (("--choose", "metric=macro_f1"), "unknown choice of figure 'heatmap' 'metric'"),
        (("--choose", "name=x"), "unknown choice of figure 'heatmap' 'name'"),
        (("--choose", "captioned=no"), "captioned is 'no', but must be true or false"),
        (("--choose", "captioned=true", "--choose", "captioned=false"), "--choose captioned is given twice"),
    ):
        said = turncoat("figure", "heatmap", "--store", store, *words)
        assert said.status == 2 and said.err.startswith(f"turncoat: {told}")
        assert not Path("heatmap.png").exists()


def test_a_store_is_never_overwritten(turncoat: Turncoat, store: str) -> None:
    before = Path(store).read_bytes()
    for words in (
        ("results", "--store", store, "--csv", store),
        ("results", "--store", store, "--csv", "a.csv", "--json", f"../{Path.cwd().name}/{store}"),
        ("reproduce", "claims", "--store", store, "-o", store),
    ):
        said = turncoat(*words)
        assert said.status == 2 and "is a store, which this would overwrite" in said.err
    said = turncoat("results", "--store", store, "--csv", "same", "--json", "./same")
    assert said.status == 2 and "named for two files" in said.err
    assert Path(store).read_bytes() == before
    assert not Path("a.csv").exists() and not Path("same").exists()


def test_a_key_of_where_may_be_repeated(turncoat: Turncoat, store: str) -> None:
    assert pairs(("seed=0", "seed=[1, 2]", "aware=False"), "--where", repeated=True) == {
        "seed": [0, 1, 2],
        "aware": False,
    }
    both = ("--where", "seed=0", "--where", "seed=1", "--where", "aware=False")
    said = turncoat("figure", "heatmap", "--store", store, *both, "-o", "two.svg")
    assert said.status == 0, said.err
    assert "2 seeds" in Path("two.svg").read_text()


def test_a_table_is_as_wide_as_it_must_be(turncoat: Turncoat) -> None:
    for number, more in enumerate(
        ("model = 'mlp'", "workers = 5\nhostile = 1", "optimizer = 'adam'\nmomentum = 0")
    ):
        grid = GRID if "workers" not in more else GRID.replace("write_access = [0.0001, 0.5]", "")
        Path(f"{number}.toml").write_text(f"{grid}{more}\n")
        said = turncoat("sweep", f"{number}.toml", "--store", "mixed.db", "--quiet")
        assert said.status == 0, said.err
    out = turncoat("results", "--store", "mixed.db").out
    rows = [line for line in out.splitlines() if line.startswith("│")]
    assert "…" not in out and all("[" in row for row in rows)


def test_random_flips_alone_have_nothing_beside_them(turncoat: Turncoat) -> None:
    Path("grid.toml").write_text(GRID.replace('goal = ["untargeted", "targeted"]', "selection = 'random'"))
    out = turncoat("sweep", "grid.toml").out
    assert "digits (unit), logistic: random flips\n" in out


def test_an_experiment_file_may_begin_with_a_byte_order_mark(turncoat: Turncoat) -> None:
    Path("bom.toml").write_text(GRID, encoding="utf-8-sig")
    assert turncoat("sweep", "bom.toml", "--quiet").status == 0


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m turncoat attack --help | true"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_says_how_to_go_on(tmp_path: Path, jobs: int) -> None:
    (tmp_path / "long.toml").write_text("epochs = 100000\nseeds = 2\nwrite_access = 0.5\n")
    command = [sys.executable, "-m", "turncoat", "sweep", "long.toml", "--jobs", str(jobs)]
    environment = os.environ | {"TURNCOAT_CHECKPOINT_SECONDS": "0.1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        while process.poll() is None and not (tmp_path / "turncoat.db-wal").exists():
            time.sleep(0.02)
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        _, told = process.communicate()
    assert process.returncode == 130
    assert told.startswith("turncoat: stopped") and told.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.toml", "turncoat.db"]


def test_letters_and_widths_that_a_terminal_has_not_are_no_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "turncoat", "data", "list"]
    poor = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "COLUMNS": "0", "TURNCOAT_DATA": str(tmp_path)}
    done = subprocess.run(command, env=os.environ | poor, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "") and "digits" in done.stdout


def test_closed_output_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["turncoat", "data", "list"])
    monkeypatch.setattr(sys, "stdout", None)  # as Python has it where a shell says >&-
    with pytest.raises(SystemExit) as ended:
        main()
    sys.stdout.close()  # what it was given in its place
    assert not ended.value.code


def test_ctrl_c_promises_no_checkpoint_where_there_is_none(
    turncoat: Turncoat, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("turncoat.certificates.certify.voters", stopped)
    said = turncoat("certify", "--quiet")
    assert (said.status, said.err) == (130, "turncoat: stopped\n")


def test_a_store_that_was_cut_off_is_told(turncoat: Turncoat, store: str) -> None:
    whole = Path(store).read_bytes()
    Path("half.db").write_bytes(whole[: len(whole) // 2])
    said = turncoat("results", "--store", "half.db")
    assert said.status == 2 and said.err.count("\n") == 1
    assert "half.db: " in said.err and "copy it again, or name another --store" in said.err
