"""Hold a share of the examples out for testing, with the classes in the same proportions."""

import warnings

import numpy as np
import pandas as pd
from jaxtyping import Int64

from turncoat.errors import TurncoatError, share, whole


def stratified(
    y: np.ndarray, test_share: float, seed: int, what: str
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " m"]]:
    """Return the rows of the training part and of the test part, each in ascending order.

    Both parts hold every class: where the share would leave a rare one out of a part, one of its members moves there.

    Raises:
        TurncoatError: if a class has fewer than 2 members, or a part has not even place for one of each.
    """
    from sklearn.model_selection import train_test_split

    found, counts = _checked(y, test_share, seed, what)
    if counts.min() < 2:
        alone = found[counts.argmin()]
        raise TurncoatError(
            f"{what}: class {str(alone)!r} has 1 example, but a held-out share needs at least 2 of every "
            "class: add one, or drop the class (arrays may come with x_test and y_test instead)"
        )
    try:
        _, test = train_test_split(np.arange(len(y)), test_size=test_share, stratify=y, random_state=seed)
    except ValueError as error:
        raise TurncoatError(
            f"{what}: a test share of {test_share} of {len(y)} examples leaves too few on one side for "
            f"{len(found)} classes: choose a share such that both parts hold every class"
        ) from error
    draw = np.random.default_rng(seed)
    inside = np.zeros(len(y), dtype=bool)
    inside[test] = True
    for value in found:
        members = np.flatnonzero(y == value)
        if inside[members].all() or not inside[members].any():
            inside[draw.choice(members)] ^= True
    return np.flatnonzero(~inside), np.flatnonzero(inside)


def grouped(
    y: np.ndarray, groups: pd.Series, test_share: float, seed: int, what: str, column: str
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " m"]]:
    """The same where rows of one group stay on one side: as near to the share as whole groups come.

    Raises:
        TurncoatError: if a row has no group, or the groups are too few or too large for both parts to hold every
            class.
    """
    found, _ = _checked(y, test_share, seed, what)
    if groups.isna().any():
        row = int(groups.isna().to_numpy().argmax())
        raise TurncoatError(
            f"{what}: row {row + 1}, column {column!r} is empty (counted from 1, without the header), but every row"
            " needs its group: fill it in or drop the row"
        )
    codes = pd.factorize(groups, sort=True)[0]
    smaller = min(test_share, 1 - test_share)
    folds = max(2, round(1 / smaller))
    if codes.max() + 1 < folds:
        raise TurncoatError(
            f"{what}: group column {column!r} has {codes.max() + 1} different values, but a test share of {test_share}"
            f" needs {folds}: choose another column, or test_share={1 / max(2, codes.max() + 1):.2g}"
        )
    for rest, fold in _folds(y, codes, folds, seed):
        if len(np.unique(y[rest])) == len(np.unique(y[fold])) == len(found):
            return (rest, fold) if test_share <= 0.5 else (fold, rest)
    raise TurncoatError(
        f"{what}: whole groups of column {column!r} leave a class out of the training or the test part, whichever are"
        " taken: choose another group column, or another test_share"
    )


def _folds(
    y: np.ndarray, groups: Int64[np.ndarray, " n"], folds: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    from sklearn.model_selection import StratifiedGroupKFold

    split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # of classes smaller than the folds, some of which will lack them
        warnings.simplefilter("ignore", UserWarning)
        try:
            return list(split.split(np.zeros(len(y)), pd.factorize(y)[0], groups))
        except ValueError:  # every class is smaller
            return []


def _checked(
    y: np.ndarray, test_share: float, seed: int, what: str
) -> tuple[np.ndarray, Int64[np.ndarray, " c"]]:
    """The classes and how many examples each has."""
    if not 0 < share(test_share, "test_share") < 1:
        raise TurncoatError(f"test_share is {test_share!r}, but must be between 0 and 1, such as 0.2")
    if whole(seed, "seed") >= 2**32:
        raise TurncoatError(f"seed is {seed}, but must be below {2**32}")
    found, counts = np.unique(y, return_counts=True)
    if len(found) < 2:
        raise TurncoatError(f"{what}: {len(found)} class in {len(y)} labels, but at least 2 are needed")
    return found, counts
