"""Where commands write to, and what they leave behind."""

import io
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
            connection.execute("INSERT INTO leases VALUES ('stack', 'host', 1, 'nonce', 0)")
            assert turncoat("results", "--store", store).status == 0
        reader = open_store(store)
        assert len(reader.keys()) == 10
    reader.connection.close()
    assert names() == [store]
    with open_store(store) as reader:
        assert reader.connection.execute("SELECT count(*) FROM leases").fetchone() == (1,)
