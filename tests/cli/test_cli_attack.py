"""``turncoat attack``: the JSON it promises, the table, and what it refuses."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from cli_said import Turncoat

import turncoat as package
from turncoat import Recipe, Threat

QUICK = ("--epochs", 4, "--learning-rate", 0.2, "--seeds", 2)
STATISTICS = {"mean", "std", "median", "low", "high"}


@pytest.fixture
def quick(turncoat: Turncoat) -> dict[str, Any]:
    said = turncoat("attack", "--write-access", 0.5, "--budget", 0.5, *QUICK, "--json")
    assert said.status == 0 and said.err == ""
    return dict(json.loads(said.out))


def test_json_is_what_was_promised(quick: dict[str, Any]) -> None:
    for part in ("clean", "attacked", "random"):
        for name in ("accuracy", "accuracy_last", "macro_f1", "macro_f1_last"):
            assert set(quick[part][name]) == STATISTICS
    assert set(quick["harm"]) == STATISTICS
    assert quick["harm"] == quick["attacked"]["harm"]
    assert quick["threat"]["write_access"] == quick["threat"]["local_budget"] == 0.5
    assert quick["recipe"]["epochs"] == 4 and quick["problem"]["dataset"] == "digits"
    assert quick["seeds"] == [0, 1] and quick["warnings"] == []
    assert quick["versions"]["turncoat"] == package.__version__
    assert 0 < quick["step_stability"] < 1 and quick["global_budget"] == 0.25


def test_json_holds_the_figures_of_train(quick: dict[str, Any]) -> None:
    threats = [Threat(0.5, 0.5), Threat(0.5, 0.5, selection="random")]
    recipe = Recipe(epochs=4, learning_rate=0.2)
    results = package.train(package.load("digits"), threats=threats, seeds=range(2), recipe=recipe)
    rows = results.summary().to_dict("records")
    for part, row in zip(("clean", "attacked", "random"), rows, strict=True):
        for name in ("accuracy", "macro_f1"):
            for figure in STATISTICS:
                assert quick[part][name][figure] == row[f"{name}.{figure}"]
    assert quick["harm"]["mean"] == rows[1]["harm.mean"]
    assert math.isclose(
        quick["harm"]["mean"], quick["clean"]["accuracy"]["mean"] - quick["attacked"]["accuracy"]["mean"]
    )


def test_the_attack_harms_and_random_flips_much_less(quick: dict[str, Any]) -> None:
    assert quick["attacked"]["harm"]["mean"] > 0.05  # two seeds are sure of little
    assert quick["random"]["harm"]["mean"] < quick["attacked"]["harm"]["mean"] / 4


def test_one_seed_has_no_interval_and_says_so(turncoat: Turncoat) -> None:
    words = ("attack", "--write-access", 0.5, "--epochs", 1, "--learning-rate", 0.2, "--seeds", 1)
    found = json.loads(turncoat(*words, "--json").out)
    for part in ("clean", "attacked", "random"):
        assert set(found[part]["accuracy"]) == STATISTICS
        assert found[part]["accuracy"]["low"] is None and found[part]["accuracy"]["high"] is None
        assert found[part]["accuracy"]["mean"] == found[part]["accuracy"]["median"]
    said = turncoat(*words).out
    assert "[1 seed]" in said and "1 seed, which has no interval" in said and "1 seeds" not in said
    assert "1 epochs" not in said and "one seed is sure of nothing" in said


def test_gradient_attacks_flip_nothing_and_carry_no_note(turncoat: Turncoat) -> None:
    crowd = ("--workers", 4, "--hostile", 1, "--selection", "sign_flip", "--epochs", 1, "--seeds", 2)
    said = turncoat("attack", *crowd)
    assert said.status == 0, said.err
    assert "sign_flip" in said.out and "0 flips" not in said.out
    assert "against random flips, seed by seed, sign_flip costs" in said.out


def test_a_clean_model_that_learned_nothing_is_told(turncoat: Turncoat) -> None:
    Path("nothing.csv").write_text("x,y\n" + "0,a\n1,a\n" * 15 + "0,b\n1,b\n" * 10)
    words = ("attack", "--dataset", "nothing.csv", "--label", "y", "--write-access", 0.5, "--epochs", 1)
    said = turncoat(*words, "--seeds", 2)
    assert "warning no-skill: the clean model is no better than always" in said.out, said.err
    assert json.loads(turncoat(*words, "--seeds", 2, "--json").out)["warnings"] == ["no-skill"]


def test_the_table_shows_random_beside(turncoat: Turncoat) -> None:
    said = turncoat("attack", "--write-access", 0.5, "--local-budget", 0.5, *QUICK)
    assert said.status == 0 and said.err == ""
    assert all(word in said.out for word in ("clean", "optimal, untargeted", "random", "harm"))
    assert "unstable-step" not in said.out


def test_an_unstable_step_is_told_in_both(turncoat: Turncoat) -> None:
    words = (
        "attack",
        "--write-access",
        0.5,
        "--scale",
        "raw",
        "--learning-rate",
        0.2,
        "--epochs",
        1,
        "--seeds",
        1,
    )
    assert "warning unstable-step" in turncoat(*words).out
    found = json.loads(turncoat(*words, "--json").out)
    assert found["warnings"] == ["unstable-step"] and found["step_stability"] > 1


def test_random_itself_may_be_asked_for(turncoat: Turncoat) -> None:
    found = json.loads(
        turncoat("attack", "--write-access", 0.5, "--selection", "random", *QUICK, "--json").out
    )
    assert found["attacked"] == found["random"]


def test_seeds_are_a_count_or_a_list(turncoat: Turncoat) -> None:
    words = ("attack", "--write-access", 0.5, "--epochs", 1, "--json", "--seeds")
    assert json.loads(turncoat(*words, "0,3").out)["seeds"] == [0, 3]
    assert json.loads(turncoat(*words, "4,").out)["seeds"] == [4]


def test_quiet_says_what_was_found_and_nothing_else(turncoat: Turncoat) -> None:
    words = ("attack", "--write-access", 0.5, "--epochs", 1, "--seeds", 1, "--learning-rate", 0.2)
    said, quiet = turncoat(*words), turncoat(*words, "--quiet")
    assert quiet.status == 0 and quiet.err == ""
    assert quiet.out in said.out and "accuracy" in quiet.out and "chance" not in quiet.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "--write-access is 0, so nothing is attacked"),
        ("--write-acces 0.3", "No such option '--write-acces'. Did you mean '--write-access'?"),
        ("--write-access 1.2", "--write-access is 1.2"),
        ("--write-access abc", "Invalid value for '--write-access': 'abc'"),
        ("--write-access nan", "--write-access is nan"),
        ("--write-access 0.5 --budget -0.1", "--budget is -0.1"),
        ("--write-access 0.5 --goal targetd", "unknown goal 'targetd'; did you mean 'targeted'?"),
        ("--write-access 0.5 --selection best", "unknown selection 'best'"),
        ("--write-access 0.5 --dataset digit", "unknown data set 'digit'; did you mean 'digits'?"),
        ("--write-access 0.5 --dataset mine.csv", "mine.csv: there is no such file"),
        ("--write-access 0.5 --model logistik", "unknown model 'logistik'; did you mean 'logistic'?"),
        ("--write-access 0.5 --label y", "digits has its labels"),
        ("--write-access 0.5 --seeds 0", "seeds (a count or a list) is 0"),
        ("--write-access 0.5 --seeds 99999999", "seeds is 99999999, but a count is at most 10,000"),
        ("--write-access 0.5 --seeds a,b", "Invalid value for '--seeds': 'a,b' is neither a count"),
        ("--write-access 0.5 --device gpu", "device 'gpu' cannot be used here (allowed: cpu"),
        ("--write-access 0.5 --epochs 0", "--epochs is 0"),
        ("--write-access 0.5 --held-out 0.2", "--held-out 0.2 would do nothing: patience is 0"),
        ("--write-access 0.5 --selection random --goal targeted", "--goal 'targeted' would do nothing"),
    ],
)
def test_mistakes_are_one_line(turncoat: Turncoat, words: str, told: str) -> None:
    said = turncoat("attack", *words.split())
    assert said.status == 2 and said.out == ""
    assert said.err.startswith(f"turncoat: {told}")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "size", "flips", "advice"),
    [
        ("--write-access 0.0005", "|K| = 0", "p = 0", "raise --write-access to at least 0.000696"),
        ("--write-access 0.01 --budget 0.05", "|K| = 14", "p = 0", "or --budget to at least 0.0715"),
        ("--write-access 0.5 --budget 0", "|K| = 718", "p = 0", "set --budget above 0"),
        ("--write-access 0.01 --schedule step", "of 64 examples of a batch", "|K| = 0", "at least 0.0157"),
    ],
)
def test_a_threat_that_can_never_flip(
    turncoat: Turncoat, words: str, size: str, flips: str, advice: str
) -> None:
    said = turncoat("attack", *words.split())
    assert said.status == 2
    assert said.err.startswith("turncoat: this threat can never flip a label")
    assert size in said.err and flips in said.err and advice in said.err


def test_following_the_advice_works(turncoat: Turncoat) -> None:
    for words in ("--write-access 0.000696", "--write-access 0.01 --budget 0.0715"):
        said = turncoat("attack", *words.split(), "--epochs", 1, "--seeds", 1, "--json")
        assert said.status == 0, said.err
        assert json.loads(said.out)["random"]["flips"] == 1


def test_both_modes_are_told_of_the_attack(turncoat: Turncoat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "models"))
    words = ("--model", "networks:batch_norm", "--write-access", "0.5", "--epochs", "2", "--seeds", "2")
    said = turncoat("attack", *words)
    assert said.status == 0
    assert "takes the objective from " in said.out
    assert "in evaluation mode, and from" in " ".join(said.out.split())
    found = json.loads(turncoat("attack", *words, "--json").out)["objectives"]
    for pair in found.values():
        assert pair["after"] < pair["before"]
    assert found["training"] != found["evaluation"]
    assert "objectives" not in json.loads(turncoat("attack", *words[2:], "--json").out)
