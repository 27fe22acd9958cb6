"""Hold a share of the examples out for testing, with the classes in the same proportions."""

import numpy as np
from jaxtyping import Int64
from sklearn.model_selection import train_test_split

from turncoat.errors import TurncoatError, share, whole


def stratified(
    y: np.ndarray, test_share: float, seed: int, what: str
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " m"]]:
    """Return the rows of the training part and of the test part, each in ascending order.

    Both parts hold every class: where the share would leave a rare one out of a part, one of its members moves there.

    Raises:
        TurncoatError: if a class has fewer than 2 members, or a part has not even place for one of each.
    """
    if not 0 < share(test_share, "test_share") < 1:
        raise TurncoatError(f"test_share is {test_share!r}, but must be between 0 and 1, such as 0.2")
    if whole(seed, "seed") >= 2**32:
        raise TurncoatError(f"seed is {seed}, but must be below {2**32}")
    found, counts = np.unique(y, return_counts=True)
    if len(found) < 2:
        raise TurncoatError(f"{what}: {len(found)} class in {len(y)} labels, but at least 2 are needed")
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
