"""Where commands write to, and what they leave behind."""

import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest
from cli_said import Turncoat

from turncoat.sweep import experiment, runner
from turncoat.sweep.store import open_store


@pytest.fixture
def store(turncoat: Turncoat) -> str:
    asked = {"epochs": 1, "learning_rate": 0.2, "seeds": 2, "write_access": [0.3, 0.5]}
    runner.sweep(experiment.experiment(asked), "r.db")
    return "r.db"


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def test_results_at_standard_output(turncoat: Turncoat, store: str) -> None:
    said = turncoat("results", "--store", store, "--csv", "-")
    assert said.status == 0 and len(pd.read_csv(io.StringIO(said.out))) == 5
    assert names() == [store]
    said = turncoat("results", "--store", store, "--csv", "-", "--json", "-")
    assert said.status == 2 and "- is named for two files" in said.err


def test_results_along_a_link_and_through_a_pipe(turncoat: Turncoat, store: str) -> None:
    Path("link").symlink_to("target.csv")
    os.mkfifo("pipe")
    seen: list[str] = []
    reader = threading.Thread(target=lambda: seen.append(Path("pipe").read_text()))
    reader.start()
    said = turncoat("results", "--store", store, "--csv", "link", "--json", "pipe")
    assert said.out == "link: 5 rows\npipe: 5 rows\n"
    reader.join()
    assert Path("link").is_symlink() and Path("pipe").is_fifo()
    assert len(pd.read_csv("target.csv")) == len(pd.read_json(io.StringIO(seen[0]))) == 5


def test_a_picture_at_standard_output_and_along_a_link(turncoat: Turncoat, store: str) -> None:
    Path("link.svg").symlink_to("target.svg")
    assert turncoat("figure", "budget", "--store", store, "-o", "link.svg").out == "link.svg\n"
    assert Path("link.svg").is_symlink() and Path("target.svg").read_bytes().startswith(b"<?xml")
    command = [sys.executable, "-m", "turncoat", "figure", "budget", "--store", store, "-o", "-"]
    picture = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    assert picture.startswith(b"\x89PNG") and picture.endswith(b"IEND\xaeB`\x82")


def test_readers_leave_no_files_behind(turncoat: Turncoat, store: str) -> None:
    before = Path(store).read_bytes()
    for words in (("results",), ("figure", "budget", "-o", "/dev/null")):
        assert turncoat(*words, "--store", store).status == 0
        assert names() == [store]
    assert Path(store).read_bytes() == before


def test_readers_and_a_writer_do_not_disturb_each_other(turncoat: Turncoat, store: str) -> None:
    with open_store(store, create=True) as writer:
        with writer.transaction() as connection:
            connection.execute("INSERT INTO checkpoints VALUES ('stack', x'00', 0)")
            assert turncoat("results", "--store", store).status == 0
        reader = open_store(store)
        assert len(reader.keys()) == 10
    reader.connection.close()
    assert names() == [store]
    with open_store(store) as reader:
        assert reader.connection.execute("SELECT count(*) FROM checkpoints").fetchone() == (1,)


def test_files_of_one_name_are_told_apart(turncoat: Turncoat) -> None:
    for folder, shift in (("one", 0.0), ("two", 0.5)):
        Path(folder).mkdir()
        rows = [f"{i % 3 + shift * i / 9},{i % 5},{'ab'[i % 2]}" for i in range(40)]
        Path(folder, "t.csv").write_text("\n".join(["x,y,kind", *rows]))
    keys = {"label": "kind", "epochs": 2, "seeds": 2, "write_access": [0.5, 1.0]}
    lines = [f"{name} = {json.dumps(value)}" for name, value in keys.items()]
    Path("g.toml").write_text("\n".join(['dataset = ["one/t.csv", "two/t.csv"]', *lines]))
    said = turncoat("sweep", "g.toml", "--store", "r.db")
    assert said.status == 0, said.err
    with open_store("r.db") as opened:
        one, two = (fingerprint[:8] for fingerprint in opened.summary()["fingerprint"].unique())
    assert f"fingerprint {one}" in said.out and f"fingerprint {two}" in said.out
    table = turncoat("results", "--store", "r.db").out
    assert table.count(one) == table.count(two) == 5 and "–" not in table
    said = turncoat("figure", "budget", "--store", "r.db", "-o", "a.svg")
    assert said.status == 2 and f"such as --where fingerprint={min(one, two)}" in said.err
    said = turncoat("figure", "budget", "--store", "r.db", "-o", "a.svg", "--where", f"fingerprint={two}")
    assert said.status == 0, said.err
    assert f"Data t.csv {two} (unit scale)" in Path("a.svg").read_text()


def test_a_file_whose_name_is_its_own_needs_no_fingerprint(turncoat: Turncoat, store: str) -> None:
    Path("t.csv").write_text("\n".join(["x,kind", *(f"{i % 7},{'ab'[i % 2]}" for i in range(40))]))
    Path("g.toml").write_text(
        'dataset = "t.csv"\nlabel = "kind"\nepochs = 1\nlearning_rate = 0.2\nwrite_access = 0.5'
    )
    assert "fingerprint" not in turncoat("sweep", "g.toml", "--store", store).out
    assert "fingerprint" not in turncoat("results", "--store", store).out
    where = ("--where", "dataset=t.csv")
    assert turncoat("figure", "budget", "--store", store, "-o", "a.svg", *where).status == 0
    assert "Data t.csv (unit scale)" in Path("a.svg").read_text()
