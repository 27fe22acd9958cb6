"""The held-out share against scikit-learn's own, which is not imported for it."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import turncoat
from turncoat import TurncoatError
from turncoat.data import digits
from turncoat.data.split import stratified


def labels(draw):
    y = draw.integers(0, draw.integers(2, 7), draw.integers(4, 80))
    return np.array(["no", "yes", "a", "b", "c", "d"])[y] if draw.random() < 0.3 else y


@pytest.mark.parametrize("start", [0, 1, 2])
def test_the_rows_are_those_that_scikit_learn_draws(start):
    draw, drawn = np.random.default_rng(start), 0
    for _ in range(400):
        y, seed = labels(draw), int(draw.integers(0, 2**32))
        test_share = float(draw.choice([0.1, 0.2, 0.25, 0.3, 0.5, 0.7, draw.uniform(0.02, 0.98)]))
        try:
            _, wanted = train_test_split(
                np.arange(len(y)), test_size=test_share, stratify=y, random_state=seed
            )
        except ValueError:
            with pytest.raises(TurncoatError, match=r"1 class|has 1 example|leaves too few on one side"):
                stratified(y, test_share, seed, "these")
            continue
        kept, held = stratified(y, test_share, seed, "these")
        assert np.array_equal(np.sort(np.concatenate([kept, held])), np.arange(len(y)))
        assert set(y[kept]) == set(y[held]) == set(y)
        if set(y[wanted]) == set(np.delete(y, wanted)) == set(y):  # else a member of a rare class is moved
            assert len(held) == math.ceil(test_share * len(y))
            assert np.array_equal(held, np.sort(wanted))
            drawn += 1
    assert drawn > 150


def test_digits_are_those_of_scikit_learn(monkeypatch):
    x, y = digits._values()
    bunch = load_digits()
    assert np.array_equal(x, bunch.data) and np.array_equal(y, bunch.target)
    monkeypatch.setattr(digits.importlib.util, "find_spec", lambda name: None)
    again = digits._values()
    assert np.array_equal(again[0], x) and np.array_equal(again[1], y)
    assert [part.dtype for part in again] == [x.dtype, y.dtype]


def test_what_every_command_imports_does_not_wait_for_scikit_learn():
    """Of all packages it takes longest but torch; an audit needs it whatever it is asked."""
    folder = Path(turncoat.__file__).parent
    first = re.compile(r"^(from|import) sklearn\b", re.MULTILINE)
    found = {
        file.relative_to(folder).parts[0] for file in folder.rglob("*.py") if first.search(file.read_text())
    }
    assert found == {"auditing"}
