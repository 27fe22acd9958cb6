"""``turncoat reproduce``: artefacts, extracts and claims from the command line."""

import json
from pathlib import Path

import pytest
from cli_said import Turncoat

from real_data import is_there
from turncoat.models import products
from turncoat.reproduce import plan
from turncoat.reproduce.artefacts import ARTEFACTS
from turncoat.reproduce.claims import CLAIMS
from turncoat.reproduce.plan import Wanted
from turncoat.sweep.store import open_store

needs_mnist = pytest.mark.skipif(
    not is_there("mnist-01"), reason="TURNCOAT_DATA is not set, or lacks files of MNIST"
)
SVG = ("--format", "svg")  # a .pdf takes longest, for its fonts
SMALL = ("--quick", "--scale", "unit", "--epochs", "1", "--seeds", "1")


def test_the_list_names_every_artefact_with_its_cells_and_time(turncoat: Turncoat) -> None:
    said = turncoat("reproduce", "--list", *SMALL)
    assert said.status == 0
    for name in ARTEFACTS:
        assert f"│ {name} " in said.out
    assert "cells in all" in said.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("B:fgi8",), "did you mean 'B:fig8'?"),
        ((), "which artefacts?"),
        (("B:fig8", "--scale", "rwa"), "did you mean 'raw'?"),
        (("B:table4", "--scale", "unit"), "B:table4 has no scale unit"),
        (("B:fig8", "--epochs", "0"), "epochs is 0"),
        (("B:fig8", "--from", "nowhere"), "points.parquet is missing"),
        (("B:fig8", "--no-training", "--store", "nowhere.db"), "no such store"),
        (("B:fig8", "-o", "taken"), "is a file"),
        (("B:fig8", "--from", "some", "--jobs", "2"), "--from trains nothing, so --jobs does nothing"),
        (("B:fig8", "--no-training", "--device", "cpu"), "--no-training trains nothing, so --device does"),
        (("B:fig8", "--precision", "bfloat61"), "unknown precision 'bfloat61'; did you mean 'bfloat16'?"),
        (
            ("B:table3", "--precision", "bfloat16"),
            "B:table3: precision is 'bfloat16', but workers send messages in float32: leave --precision out",
        ),
        (("claims", "--store", "nowhere.db"), "no such store"),
        (("claims", "--store", "nowhere.db", "-o", "no/where.md"), "no folder no"),
        (
            ("claims", "--store", "nowhere.db"),
            "train into it with: turncoat reproduce NAMES --store nowhere.db",
        ),
        (("claims", "--from", "some", "--store", "nowhere.db"), "leave --from or --store out"),
        (("extract", "--from", "some", "--store", "nowhere.db"), "leave --from or --store out"),
        (("B:fig8", "--from", "some", "--store", "nowhere.db"), "leave --from or --store out"),
        (("claims", "--csv", "x.csv", "--json", "x.csv"), "x.csv is named for two files"),
        (("extract", "B:fgi8"), "did you mean 'B:fig8'?"),
    ],
)
def test_mistakes_are_one_line(turncoat: Turncoat, words: tuple[str, ...], says: str) -> None:
    Path("taken").write_text("")
    said = turncoat("reproduce", *words)
    assert not Path("reproduced").exists()
    assert (said.status, said.out) == (2, "")
    assert says in said.err
    assert len(said.err.splitlines()) == 1


def test_missing_data_are_named_with_the_command_that_fetches_them(
    turncoat: Turncoat, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TURNCOAT_DATA", str(tmp_path / "none"))
    said = turncoat("reproduce", "B:fig9", "B:fig13", *SMALL)
    assert said.status == 2
    for name in ("train-images-idx3-ubyte.gz", "data_batch_1.bin", "turncoat data fetch cifar10 mnist"):
        assert name in said.err
    assert not Path("results.db").exists()


def test_the_list_in_bfloat16_says_what_is_left_out(turncoat: Turncoat) -> None:
    said = turncoat("reproduce", "--list", "--precision", "bfloat16", *SMALL)
    assert said.status == 0
    assert "not made in bfloat16: B:table3, B:table4" in " ".join(said.out.split())


@needs_mnist
def test_a_processor_without_bfloat16_is_refused_before_anything_is_trained(
    turncoat: Turncoat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "has_bfloat16", lambda device: False)
    said = turncoat("reproduce", "B:fig20", *SMALL, "--precision", "bfloat16")
    assert said.status == 2 and "this processor has no products in bfloat16" in said.err
    assert said.err.strip().endswith("leave --precision out") and not Path("results.db").exists()


@needs_mnist
@pytest.mark.usefixtures("as_users_run")
def test_runs_in_bfloat16_are_cells_of_their_own_and_are_named(
    turncoat: Turncoat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "has_bfloat16", lambda device: True)
    low = (*SMALL, "--precision", "bfloat16")
    assert turncoat("reproduce", "B:fig20", *SMALL, "-o", "whole", *SVG).status == 0
    none = turncoat("reproduce", "B:fig20", *low, "--no-training", "-o", "low")
    assert none.status == 2 and "--precision bfloat16 --store" in none.err
    assert turncoat("reproduce", "B:fig20", *low, "-o", "low", *SVG).status == 0
    captions = [Path(folder, "B-fig20-unit.txt").read_text() for folder in ("whole", "low")]
    assert ["products in bfloat16" in text for text in captions] == [False, True]
    assert "products in bfloat16" in Path("low/index.html").read_text()
    one = plan.cells(plan.planned(ARTEFACTS["B:fig20"], Wanted(("unit",), 1, 1, True)))
    with open_store("results.db") as store:
        assert len(store.keys()) == 2 * len(one)
    judged = turncoat(
        "reproduce", "claims", *low, "--json", "claims.json", "-o", "claims.md", "--pictures", ""
    )
    assert judged.status == 0 and "--precision bfloat16" in Path("claims.md").read_text()
    first = next(row for row in json.loads(Path("claims.json").read_text()) if row["claim"] == 1)
    assert "bfloat16" in first["warnings"].split()


@needs_mnist
@pytest.mark.usefixtures("as_users_run")
def test_an_artefact_from_training_to_verdicts(
    turncoat: Turncoat, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert turncoat("reproduce", "B:fig20", *SMALL, "-o", "first").status == 0
    assert "(quick)" in Path("first/B-fig20-unit.txt").read_text()
    assert Path("first/B-fig20-unit-optimal.pdf").stat().st_size
    monkeypatch.setenv("TURNCOAT_DATA", str(tmp_path / "none"))  # from here on the store is enough
    page = Path("first/index.md").read_text()
    assert (
        "![B:fig20, unit scale](B-fig20-unit.png)" in page and "[optimal](B-fig20-unit-optimal.png)" in page
    )
    assert turncoat("reproduce", "B:fig20", *SMALL, "-o", "again", *SVG).status == 0
    assert not list(Path("again").glob("*.p*")) and "(B-fig20-unit.svg)" in Path("again/index.md").read_text()
    extracted = turncoat("reproduce", "extract", *SMALL, "-o", "small")
    assert extracted.status == 0 and "points.parquet" in extracted.out
    assert turncoat("reproduce", "B:fig20", *SMALL, "--from", "small", "-o", "third", *SVG).status == 0
    pictures = [Path(f, "B-fig20-unit.svg").read_bytes() for f in ("first", "again", "third")]
    assert pictures[0] == pictures[1] == pictures[2]
    for source in (("--store", "results.db"), ("--from", "small")):
        files = ("--json", "claims.json", "-o", "claims.md", "--pictures", "first")
        said = turncoat("reproduce", "claims", *SMALL, *source, *files)
        assert said.status == 0
        assert "[B:fig20](first/index.md#bfig20)" in Path("claims.md").read_text()
    rows = json.loads(Path("claims.json").read_text())
    assert {row["claim"] for row in rows} == {claim.number for claim in CLAIMS}
    assert {row["scale"] for row in rows} == {"unit"}
    first = next(row for row in rows if row["claim"] == 1)
    assert first["verdict"] == "undecided"  # one seed decides nothing
    assert turncoat("reproduce", "claims", *SMALL).out.count("not measured") >= 8
    longer = turncoat("reproduce", "B:fig20", "--no-training", "--scale", "unit", "-o", "longer", *SVG)
    assert longer.status == 0 and "1 of 200 epochs" in Path("longer/B-fig20-unit.txt").read_text()
    other = turncoat("reproduce", "B:fig20", "--no-training", "--scale", "raw")
    assert other.status == 2 and "no attacked run of 200 epochs" in other.err
    missed = turncoat("reproduce", "B:fig20", "B:fig9", *SMALL, "--no-training", "-o", "missed")
    assert missed.status == 2 and "B:fig9 in unit scale" in missed.err
    assert not Path("missed").exists()
    assert "B:fig9: nothing measured" in turncoat("reproduce", "B", *SMALL, "--no-training", *SVG).out
    alone = turncoat("reproduce", "B:fig6", *SMALL, "--no-training")
    assert alone.status == 2 and "give --seeds 2 or more" in alone.err
    untrained = turncoat("reproduce", "B:fig6", *SMALL, "--store", "untrained.db")
    assert untrained.status == 2 and "give --seeds 2 or more" in untrained.err
    assert not Path("untrained.db").exists()
