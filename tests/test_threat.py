"""What a threat and a recipe accept, how shares become counts, and how bad input is told."""

import numpy as np
import pytest

from turncoat import Recipe, Threat, TurncoatError, train
from turncoat.threat import CLEAN

pytestmark = pytest.mark.usefixtures("as_users_run")


@pytest.mark.parametrize(
    ("k", "b", "n", "writable", "flips"),
    [
        (0.0, 1.0, 100, 0, 0),
        (1.0, 1.0, 100, 100, 100),
        (0.29, 1.0, 100, 29, 29),  # 0.29 · 100 is 28.999999999999996 in binary
        (0.25, 0.5, 64, 16, 8),
        (0.25, 0.5, 7, 1, 0),
        (0.07, 1.0, 60_000, 4_200, 4_200),
        (0.999, 1.0, 100, 99, 99),
        (1.0, 0.001, 999, 999, 0),
    ],
)
def test_shares_become_counts_rounded_down(k, b, n, writable, flips):
    threat = Threat(k, b)
    assert (threat.writable(n), threat.flips(n), threat.allowance(writable)) == (writable, flips, flips)
    assert threat.global_budget == k * b


def test_every_whole_percentage_counts_exactly():
    for percent in range(101):
        assert Threat(percent / 100).writable(100) == percent
        assert Threat(1.0, percent / 100).flips(1000) == 10 * percent


def test_numbers_of_any_kind_are_the_same_threat():
    assert Threat(np.float32(0.5), 1) == Threat(0.5, 1.0) == Threat(np.float64(0.5), np.int64(1))
    assert hash(Threat(0.5, 1)) == hash(Threat(0.5, 1.0))
    assert isinstance(Threat(np.float32(0.5)).write_access, float)
    assert Recipe(epochs=np.int64(3)) == Recipe(epochs=3)
    assert type(Recipe(epochs=np.int64(3)).epochs) is int
    assert CLEAN.is_clean and not Threat(0.1, 0.0).is_clean


@pytest.mark.parametrize("field", ["write_access", "local_budget"])
@pytest.mark.parametrize(
    "value", [-0.1, 1.1, 100, float("nan"), float("inf"), "0.5", None, True, [0.1], 0.5j, np.nan]
)
def test_a_share_is_a_number_from_0_to_1(field, value):
    told = complaint(Threat, **{field: value})
    assert field in told and repr(value) in told


@pytest.mark.parametrize(
    ("field", "value", "hint"),
    [
        ("goal", "untargetted", "did you mean 'untargeted'"),
        ("schedule", "epochs", "did you mean 'epoch'"),
        ("placement", "fix", "allowed: fixed, resampled"),
        ("knowledge", "surogate", "did you mean 'surrogate'"),
        ("goal", None, "allowed: targeted, untargeted"),
        ("selection", 3, "must be a rule's name"),
        ("selection", "", "must be a rule's name"),
        ("aware", "yes", "true or false"),
        ("aware", 1, "true or false"),
    ],
)
def test_a_name_is_one_of_those_known(field, value, hint):
    told = complaint(Threat, **{field: value})
    assert hint in told and field in told and repr(value) in told


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"epochs": 0}, "1 or more"),
        ({"epochs": 2.0}, "whole number"),
        ({"epochs": True}, "whole number"),
        ({"batch_size": 0}, "1 or more"),
        ({"batch_size": "64"}, "whole number"),
        ({"learning_rate": 0}, "above 0"),
        ({"learning_rate": -1.0}, "above 0"),
        ({"learning_rate": float("nan")}, "finite"),
        ({"learning_rate": "0.1"}, "finite"),
        ({"optimizer": "adan"}, "did you mean 'adam'"),
        ({"momentum": 1.0}, "below 1"),
        ({"momentum": 0.9, "optimizer": "adam"}, "leave momentum out"),
        ({"weight_decay": -0.1}, "0 or more"),
        ({"patience": -1}, "0 or more"),
        ({"patience": 2, "held_out": 0.0}, "held_out"),
        ({"patience": 2, "held_out": 1.0}, "held_out"),
        ({"held_out": 1.5}, "0 to 1"),
    ],
)
def test_a_recipe_is_checked(fields, hint):
    told = complaint(Recipe, **fields)
    assert hint in told and next(iter(fields)) in told


SHORT = Recipe(epochs=1)


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"model": "logistics"}, "did you mean 'logistic'"),
        ({"seeds": []}, "no seeds"),
        ({"seeds": [0.5]}, "whole number"),
        ({"seeds": [-1]}, "0 or more"),
        ({"seeds": [True]}, "whole number"),
        ({"seeds": "ab"}, "must be a list"),
        ({"seeds": 3}, "seeds"),
        ({"threats": ["optimal"]}, "'optimal'"),
        ({"threats": Threat(0.5)}, "threats"),
        ({"threats": [Threat(0.5, schedule="once", knowledge="local")]}, "'once'"),
        ({"threats": [Threat(0.5, schedule="once", aware=True)]}, "'once'"),
        (
            {"threats": [Threat(0.5, selection="optimum")]},
            "unknown selection 'optimum'; did you mean 'optimal'",
        ),
        ({"threats": [Threat(0.0, selection="as-printed")]}, "did you mean 'as_printed'"),
        ({"threats": [Threat(0.5, selection="all_to_one")]}, "takes 1 class number"),
        ({"device": "gpu"}, "'gpu'"),
        ({"recipe": {"epochs": 1}}, "recipe"),
        ({"dataset": "digits"}, "load"),
    ],
)
def test_training_is_told_what_is_wrong(fields, hint, binary):
    told = complaint(train, **{"dataset": binary, "recipe": SHORT, "seeds": [0]} | fields)
    assert hint in told


def test_seeds_may_come_from_numpy_and_count_once(binary):
    results = train(binary, threats=[Threat(0.5)], seeds=np.array([4, 1, 4]), recipe=SHORT)
    assert [(run.threat.is_clean, run.seed) for run in results.runs] == [
        (True, 4),
        (True, 1),
        (False, 4),
        (False, 1),
    ]


def complaint(call, **fields):
    with pytest.raises(TurncoatError) as told:
        call(**fields)
    assert len(str(told.value).splitlines()) == 1
    return str(told.value)
