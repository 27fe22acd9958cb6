"""The checks of the tests refuse what jaxtyping refuses, and nothing else."""

import contextlib
import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from beartype import beartype
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import Bool, Float, Int, Integer, Shaped, _storage
from torch import Tensor

import sparing_checks
from turncoat import losses
from turncoat.errors import known_arguments

checked = sparing_checks._sparing(typechecker=beartype)


@checked
def doubled(x: Float[Tensor, "n d"], y: Float[Tensor, " n"], times: int = 2) -> Float[Tensor, "n d"]:
    return x * times if times else x.T


@checked
def wordy(names: list[str], *more: int, last: "str" = "") -> "int":
    return len(names) + sum(more) if last != "wrong" else last


@checked
def until(n: int) -> Iterator[int]:
    yield from range(n)


@checked
@dataclasses.dataclass(frozen=True)
class Pair:
    left: int
    right: Float[Tensor, " n"] | None = None

    @checked
    def sized(self, n: int) -> Float[Tensor, " n"]:
        return torch.ones(n)


@checked
@known_arguments
@dataclasses.dataclass
class Lenient:
    share: float


def adder(k: int):
    @checked
    def add(x: Float[Tensor, " n"], y: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        return x + y + k

    return add


X, Y = torch.ones(3, 2), torch.ones(3)


def test_what_fits_passes():
    assert torch.equal(doubled(X, Y, times=3), X * 3)
    assert wordy(["a"], 1, 2, last="x") == 4
    assert list(until(3)) == [0, 1, 2]
    assert Pair(1, right=Y).sized(2).shape == (2,) and Pair(1).right is None
    assert Lenient(1).share == 1  # such tell what they cannot take themselves


@pytest.mark.parametrize(
    "call",
    [
        lambda: doubled(X, torch.ones(2)),  # n twice, and not the same
        lambda: doubled(X, y=Y.double()[:, None]),
        lambda: doubled(X.int(), Y),
        lambda: doubled(X, Y, times=2.5),
        lambda: doubled(X, Y, 0),  # the result's shape
        lambda: wordy([1]),
        lambda: wordy([], 1, "2"),
        lambda: wordy([], last=3),
        lambda: wordy([], last="wrong"),
        lambda: until("3"),
        lambda: Pair("1"),
        lambda: Pair(1, X),
        lambda: Pair(1).sized(2.0),
    ],
)
def test_what_does_not_fit_is_refused_unless_unchecked(call):
    with pytest.raises(BeartypeCallHintViolation):
        call()
    with sparing_checks.unchecked(), contextlib.suppress(TypeError, RuntimeError):  # Python's and torch's own
        call()


def test_the_package_is_checked():
    with pytest.raises(BeartypeCallHintViolation):
        losses.Loss(smoothing="much")
    with pytest.raises(BeartypeCallHintViolation):
        losses.residual(torch.ones(3, 2, 1), torch.zeros(4, 1, dtype=torch.int64))  # n twice


def test_functions_within_functions_are_checked_each_time():
    for k in range(100):
        add = adder(k)
        assert torch.equal(add(Y, Y), Y + Y + k)
        with pytest.raises(BeartypeCallHintViolation) as told:
            add(Y, torch.ones(2))
    assert "test_sparing_checks.adder.<locals>.add" in told.value.__notes__[0]
    assert "n" in told.value.__notes__[0]


def test_axes_are_forgotten_between_calls():
    assert doubled(X, Y).shape == (3, 2) and doubled(torch.ones(1, 1), torch.ones(1)).shape == (1, 1)


HINTS = (
    Float[Tensor, "n d"],
    Float[Tensor, "d n"],
    Float[Tensor, " n"],
    Int[Tensor, " n"],
    Bool[Tensor, "n d"],
    Integer[Tensor, "n d"],
    Shaped[Tensor, "n d"],
    Float[Tensor, ""],
    Float[Tensor, "n n"],
    Float[Tensor, "n 2"],
    Float[Tensor, "n #d"],
    Float[Tensor, "*rest d"],
    Float[Tensor, "n _"],
    Float[Tensor, "..."],
    Float[np.ndarray, "n d"],
)
VALUES = (
    *(torch.ones(shape) for shape in ((), (2,), (3,), (2, 2), (2, 3), (3, 2), (1, 3), (2, 4), (2, 2, 3))),
    *(torch.ones(2, 3, dtype=numbers) for numbers in (torch.bool, torch.int64, torch.uint8, torch.bfloat16)),
    torch.nn.Parameter(torch.ones(2, 3)),
    torch.ones(3, dtype=torch.int64),
    np.ones((2, 3)),
    [1.0],
    None,
)


@pytest.mark.parametrize("known", [{}, {"n": 2}, {"d": 3}, {"n": 2, "d": 2}], ids=str)
def test_a_look_at_a_tensor_finds_what_jaxtypings_own_finds(known):
    def found(look, hint, value):
        _storage.push_shape_memo({})
        _storage.get_shape_memo()[0].update(known)
        try:
            return look(hint, value), _storage.get_shape_memo()[:2]
        finally:
            _storage.pop_shape_memo()

    fits = [
        found(sparing_checks._fits, hint, value) == found(sparing_checks._in_full, hint, value)
        for hint in HINTS
        for value in VALUES
    ]
    assert all(fits)
    assert isinstance(X, Float[Tensor, "n d"]) and not isinstance(X, Float[Tensor, " n"])  # outside all calls


def test_short_looks_are_what_most_hints_get():
    assert [sparing_checks._by_names_alone(hint) is not None for hint in HINTS] == [True] * 7 + [False] * 8


def test_the_first_calls_of_each_test_are_all_looked_at_and_then_some():
    def refused() -> list[int]:
        found = []
        for number in range(1, sparing_checks.FIRST + 2 * sparing_checks.THEN + 1):
            try:
                wordy([], last="wrong")
            except BeartypeCallHintViolation:
                found.append(number)
        return found

    every = sparing_checks.THEN
    first = list(range(1, sparing_checks.FIRST + 1))
    then = [
        number
        for number in range(sparing_checks.FIRST + 1, sparing_checks.FIRST + 2 * every + 1)
        if number % every == 0
    ]
    for _ in range(2):
        sparing_checks.begin_test()
        assert refused() == first + then and then
