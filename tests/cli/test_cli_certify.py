"""``turncoat certify``: the JSON it promises, the table, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from cli_said import Turncoat

from turncoat import certify, load


def test_json_holds_the_figures_of_certify(turncoat: Turncoat) -> None:
    said = turncoat("certify", "--partitions", 20, "--json")
    assert said.status == 0 and said.err == ""
    found, wanted = json.loads(said.out), certify(load("digits"), partitions=20)
    assert {"0", "10", "100", "300"} <= set(found["certified_accuracy"])
    assert found["clean_accuracy"] == wanted.clean_accuracy == found["certified_accuracy"]["0"]
    assert found["certified_accuracy"] == {str(k): v for k, v in wanted.certified_accuracy.items()}
    assert found["prediction"] == wanted.prediction.tolist() and found["radius"] == wanted.radius.tolist()
    assert found["partitions"] == 20 and found["features"] == "anchors"


def test_the_table_says_what_is_certified(turncoat: Turncoat) -> None:
    said = turncoat("certify", "--partitions", 20, "--method", "run_off")
    assert said.status == 0 and said.err == ""
    assert all(
        word in said.out for word in ("certified accuracy", "20 models vote", "run_off", "before training")
    )
    assert turncoat("certify", "--partitions", 20, "--quiet").out == ""


def test_the_picture_has_what_is_certified_and_what_is_reached(turncoat: Turncoat, tmp_path: Path) -> None:
    digits = load("digits")
    few = {"x": digits.x[:300], "y": digits.y[:300], "x_test": digits.x_test, "y_test": digits.y_test}
    np.savez("few.npz", **few)
    said = turncoat("certify", "--dataset", "few.npz", "--partitions", 20, "-o", "c.svg", "--json")
    assert said.status == 0 and said.err == ""
    found = json.loads(said.out)
    assert found["attacked_accuracy"].keys() == found["undefended_accuracy"].keys()
    assert found["attacked_accuracy"]["0"] == found["clean_accuracy"]
    picture = (tmp_path / "c.svg").read_text(encoding="utf-8")
    assert all(f'id="{line}"' in picture for line in ("certified", "attacked", "undefended"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--method", "runoff"), "did you mean 'run_off'?"),
        (("--partitions", 5000), "only 1437 training rows"),
        (("--method", "smoothing", "--partitions", 3), "partitions does nothing"),
        (("--noise", 0.2), "noise does nothing"),
        (("--features", "anchor"), "did you mean 'anchors'?"),
        (("-o", "c.txt"), "a picture cannot end in '.txt'"),
        (("--dataset", "digit"), "did you mean 'digits'?"),
        (("--model", "lgistic"), "did you mean 'logistic'?"),
    ],
)
def test_mistakes(turncoat: Turncoat, words: tuple[object, ...], told: str) -> None:
    said = turncoat("certify", *words)
    assert said.status == 2 and said.out == "" and len(said.err.splitlines()) == 1
    assert told in said.err
