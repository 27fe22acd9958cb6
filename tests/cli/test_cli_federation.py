"""Federations on the command line: the attack's JSON and table, refusals, sweep to pictures."""

import json
from pathlib import Path

import pytest
from cli_said import Turncoat

QUICK = ("--epochs", 3, "--learning-rate", 0.2, "--seeds", 2)
SEEN = {
    "norm_ratio",
    "example_norm_ratio",
    "auc_norm",
    "auc_cosine",
    "auc_linear",
    "caught_at_1_percent",
    "label_shift",
}
EXAMPLES = Path(__file__).parents[2] / "examples"


def test_json_of_a_federation(turncoat: Turncoat) -> None:
    crowd = ("--workers", 10, "--hostile", 3, "--aggregator", "trimmed_mean")
    found = json.loads(turncoat("attack", *crowd, "--budget", 0.5, *QUICK, "--json").out)
    assert found["federation"]["workers"] == 10 and found["federation"]["aggregator"] == "trimmed_mean"
    assert found["threat"]["write_access"] == 0.3 and found["global_budget"] == 0.15
    assert set(found["visibility"]) == SEEN and found["visibility"] == found["attacked"]["visibility"]
    assert found["attacked"]["flips"] > 0 and found["random"]["flips"] > 0
    assert found["visibility"]["norm_ratio"] > found["random"]["visibility"]["norm_ratio"]
    pooled = json.loads(turncoat("attack", "--write-access", 0.3, *QUICK, "--json").out)
    assert pooled["visibility"] is None


def test_table_of_a_federation(turncoat: Turncoat) -> None:
    said = turncoat("attack", "--workers", 8, "--hostile", 2, "--selection", "sign_flip", *QUICK)
    assert said.status == 0
    assert "2 of 8 workers hostile, mean" in said.out and "visibility: the hostile workers'" in said.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--workers", 5), "no worker is hostile, so nothing is attacked; type for example --hostile 2"),
        (("--hostile", 3), "--hostile 3 needs workers"),
        (
            ("--workers", 10, "--hostile", 2, "--write-access", 0.2),
            "leave --write-access out, and set --hostile",
        ),
        (("--workers", 10, "--hostile", 2, "--budget", 0.001), "raise --budget to at least 0.00695"),
        (
            ("--workers", 10, "--hostile", 2, "--budget", 0.01, "--schedule", "step"),
            "of 64 examples of a hostile worker's batch it may write to |K| = 64 and flip p = 0",
        ),
        (("--workers", 9999, "--hostile", 2), "9999 workers for 1437 examples: give at most 1437 workers"),
        (("--workers", 10, "--hostile", 5, "--aggregator", "median"), "median needs 2f < w"),
        (("--workers", 10, "--hostile", 2, "--aggregator", "nnm+trimed_mean"), "did you mean 'trimmed_mean'"),
        (("--selection", "mimic", "--write-access", 0.2), "forges workers' messages: give workers"),
    ],
)
def test_refusals_are_one_line(words: tuple[object, ...], told: str, turncoat: Turncoat) -> None:
    said = turncoat("attack", *words, "--epochs", 1)
    assert said.status == 2 and said.out == ""
    assert told in said.err and said.err.count("\n") == 1


def test_from_a_sweep_to_pictures(turncoat: Turncoat) -> None:
    Path("m.toml").write_text(
        'workers = 6\nhostile = 1\naggregator = ["mean", "median"]\nselection = ["optimal", "random", "min_max"]\n'
        "epochs = 2\nlearning_rate = 0.2\nseeds = 2\n"
    )
    assert "16 cells, 16 of them trained now" in turncoat("sweep", "m.toml", "--store", "m.db").out
    assert turncoat("figure", "matrix", "--store", "m.db", "-o", "m.svg").status == 0
    words = ("--where", "aggregator=mean", "--where", "selection=optimal")
    assert turncoat("figure", "visibility", "--store", "m.db", *words, "-o", "v.svg").status == 0
    assert Path("m.svg").stat().st_size > 5000 and Path("v.svg").stat().st_size > 5000
    table = turncoat("results", "--store", "m.db").out
    assert "aggregator" in table and "placement" not in table


def test_no_picture_of_messages_where_there_are_none(turncoat: Turncoat) -> None:
    Path("p.toml").write_text("write_access = 0.5\nepochs = 1\nseeds = 1\n")
    turncoat("sweep", "p.toml", "--store", "p.db")
    said = turncoat("figure", "visibility", "--store", "p.db")
    assert said.status == 2 and "no cell of the store is a federation" in said.err


@pytest.mark.parametrize(("name", "count"), [("matrix.toml", 264), ("mean-or-robust.toml", 720)])
def test_examples_are_whole(name: str, count: int) -> None:
    from turncoat.sweep.experiment import cells, read

    assert len(cells(read(EXAMPLES / name))) == count


def test_pictures_of_messages_can_be_chosen_by_the_number_of_hostile_workers(turncoat: Turncoat) -> None:
    Path("crowd.toml").write_text(
        "workers = 5\nhostile = [1, 2]\nepochs = 2\nlearning_rate = 0.2\nseeds = 1\n"
    )
    assert turncoat("sweep", "crowd.toml", "--store", "c.db", "--quiet").status == 0
    where = ("--where", "selection=optimal", "--where")
    for hostile in (1, 2):
        picture = f"{hostile}.svg"
        said = turncoat(
            "figure", "visibility", "--store", "c.db", *where, f"hostile={hostile}", "-o", picture
        )
        assert said.status == 0, said.err
        assert f"{hostile * 5}" in Path(picture).read_text()
