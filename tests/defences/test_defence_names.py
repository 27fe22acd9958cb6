"""Defences by their texts, and what an attacker may write to where labels are redundant."""

import numpy as np
import pytest

from turncoat import Recipe, Threat, TurncoatError, train
from turncoat.defence import DEFENCES, access, chain, refuse, written


@pytest.mark.parametrize("name", list(DEFENCES))
def test_every_name_with_its_examples_is_taken_and_told_as_typed(name):
    text = ":".join([name, *(number.example for number in DEFENCES[name].numbers)])
    assert written(chain(text)) == text
    assert Recipe(defence=text).defence == text


def test_a_defence_is_written_in_one_way():
    assert Recipe(defence=" gce:.70 + knn:5").defence == "gce:0.7+knn:5"
    assert Recipe().defence == "none"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gse:0.7", ["'gse'", "gce"]),
        ("gce", ["1 number", "'gce:0.7'"]),
        ("mae:3", ["no number", "'mae'"]),
        ("gce:0", ["'gce:0'", "above 0 and at most 1", "such as 0.7"]),
        ("gce:many", ["'gce:many'", "such as 0.7"]),
        ("symmetric:1", ["2 numbers", "'symmetric:0.1:1'"]),
        ("trimmed_loss:1", ["above 0 and below 1"]),
        ("label_smoothing:nan", ["above 0 and below 1"]),
        ("clip:inf", ["above 0"]),
        ("knn:0", ["a whole number of 1 or more"]),
        ("knn:2.5", ["a whole number of 1 or more"]),
        ("redundancy:4", ["an odd number from 3 to 999"]),
        ("redundancy:1", ["an odd number from 3 to 999"]),
        ("redundancy:1001", ["an odd number from 3 to 999"]),
        ("partitions:1", ["a whole number of 2 or more"]),
        ("none+mae", ["'none' stands alone"]),
        ("gce:0.7+mae", ["two losses", "gce and mae"]),
        ("knn:3+knn:4", ["knn twice"]),
        ("clip:1+label_smoothing:0.1", ["hard labels"]),
        ("gold:5+gold_alone:5", ["two ways"]),
        ("gold:5+partitions:2", ["gold labels of its own"]),
        ("", ["defence"]),
        (3, ["must be a text"]),
    ],
)
def test_a_wrong_defence_is_refused_in_one_line(text, words):
    with pytest.raises(TurncoatError) as caught:
        Recipe(defence=text)
    message = str(caught.value)
    assert "\n" not in message and all(word in message for word in words), message


@pytest.mark.parametrize(
    ("text", "given", "words"),
    [
        ("knn:3", (True, "epoch", 0), "server that holds the data"),
        ("clip:1", (True, "epoch", 0), "set an aggregator"),
        ("knn:3", (False, "step", 0), "set schedule to 'epoch' or 'once'"),
        ("partitions:3", (False, "epoch", 2), "leave patience out"),
    ],
)
def test_what_does_not_go_together_is_refused(text, given, words):
    with pytest.raises(TurncoatError, match=words):
        refuse(text, *given)
    refuse("gce:0.7", *given)


def test_redundant_labels_are_held_by_majorities():
    rng = np.random.default_rng(0)
    for labellers in (3, 5):
        for share in (0.1, 0.4, 0.7):
            hostile = (rng.random((200_000, labellers)) < share).sum(1) > labellers / 2
            assert access(f"redundancy:{labellers}", share) == pytest.approx(hostile.mean(), abs=0.005)
    assert access("none", 0.3) == 0.3
    assert access("redundancy:3", 0.0) == 0 and access("redundancy:3", 1.0) == 1


@pytest.mark.parametrize("text", ["gold:71", "gold_alone:71", "knn:70", "partitions:71"])
def test_more_than_there_are_rows_is_refused(text, multi):
    with pytest.raises(TurncoatError, match="there are 70 training rows"):
        train(multi, threats=[Threat(0.5)], seeds=[0], recipe=Recipe(epochs=1, defence=text))


def test_confident_without_cleanlab_says_what_to_install(multi, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TurncoatError, match=r"pip install 'turncoat\[labels\]'"):
        train(multi, threats=[Threat(0.5)], seeds=[0], recipe=Recipe(epochs=1, defence="confident"))
