"""What features and labels must be, checked once where data come in."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from turncoat.errors import LARGEST, TurncoatError, shown

TOO_LARGE = "{what}: label {label} is no class; labels must be integers 0..C-1: renumber them"


def require_finite(x: np.ndarray | Tensor, what: str) -> None:
    """Check that a table of features has neither NaN nor infinite values.

    Raises:
        TurncoatError: names the first such row and column, counted from 0.
    """
    place = first_not_finite(x)
    if place is not None:
        row, column = place
        raise TurncoatError(
            f"{what}: row {row}, column {column} is {float(x[row, column])}, but features must be finite "
            "numbers (counted from 0): drop the row or fill in the value"
        )


def first_not_finite(x: np.ndarray | Tensor) -> tuple[int, int] | None:
    """Return row and column of the first NaN or infinite value of a table, or None."""
    if x.shape[0] * x.shape[1] == 0:
        return None
    # The smallest and largest value show NaN and infinity in one pass, without a mask as long as the data.
    if isinstance(x, Tensor):
        low, high = (float(bound) for bound in x.aminmax())
    else:
        with np.errstate(invalid="ignore"):
            low, high = float(x.min()), float(x.max())
    if np.isfinite(low) and np.isfinite(high):
        return None
    for row in range(x.shape[0]):
        values = x[row].numpy(force=True) if isinstance(x, Tensor) else x[row]
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            return row, int(bad[0])
    raise AssertionError("a table with a bound that is not finite holds a value that is not finite")


def numbers(x: Any, what: str) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return features flattened to (n, d), copied only where torch could not take them over, and their shape.

    Raises:
        TurncoatError: if the values are not real numbers or the axes are too few.
    """
    array = _array(x, what)
    if array.ndim < 2:
        raise TurncoatError(f"{what}: shape is {array.shape}, but must be (examples, features)")
    if array.dtype.kind not in "buif" or array.dtype.itemsize > 8:
        raise TurncoatError(f"{what}: values are of type {array.dtype}, but features must be real numbers")
    if array.dtype.kind == "b":
        array = array.view(np.uint8)
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.float64)
    flat = array.reshape(len(array), int(np.prod(array.shape[1:])))
    # torch takes neither read-only memory, nor the other byte order, nor steps backwards.
    usable = flat.flags.writeable and flat.dtype.isnative and all(step >= 0 for step in flat.strides)
    return flat if usable else flat.astype(flat.dtype.newbyteorder("=")), array.shape[1:]


def labels(y: Any, what: str) -> np.ndarray:
    """Return labels as one axis of int64, or of strings where they are strings or truths.

    Raises:
        TurncoatError: if they are neither integers nor strings or have more than one axis.
    """
    array = _array(y, what)
    if isinstance(y, list | tuple) and array.dtype.kind in "UT":  # NumPy writes numbers beside words as words
        array = _array(np.array(y, dtype=object), what)
    if array.ndim != 1:
        raise TurncoatError(f"{what}: shape is {array.shape}, but labels must be one axis, one per example")
    if array.dtype.kind == "O":
        array = _of_one_kind(array, what)
    if array.dtype.kind in "UT":
        return array
    if array.dtype.kind == "b":
        return array.astype(str)
    if array.dtype.kind not in "ui":
        raise TurncoatError(
            f"{what}: labels are of type {array.dtype}, but must be integers 0..C-1: convert them with "
            ".astype(int)"
        )
    if array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise TurncoatError(TOO_LARGE.format(what=what, label=int(array.max())))
    return array.astype(np.int64)


def _of_one_kind(array: np.ndarray, what: str) -> np.ndarray:
    """Objects, as pandas holds strings, as the array of strings, truths or integers that they are.

    Raises:
        TurncoatError: names the first that is of another kind than those before it.
    """
    kinds: dict[type, tuple[type, ...]] = {str: (str,), bool: (bool, np.bool_), int: (int, np.integer)}
    first = next((kind for kind, alike in kinds.items() if len(array) and isinstance(array[0], alike)), None)
    for row, value in enumerate(array):
        if first is None or not isinstance(value, kinds[first]) or isinstance(value, bool) != (first is bool):
            raise TurncoatError(
                f"{what}: label {shown(value)} in row {row} (counted from 0) is of type {type(value).__name__}, but"
                " labels must be all strings or all integers"
            )
    try:
        return array.astype(first)
    except OverflowError as error:
        raise TurncoatError(TOO_LARGE.format(what=what, label=max(array, key=abs))) from error


def require_part(what: str, x: Tensor, y: Tensor, shape: tuple[int, ...], classes: int) -> None:
    """Check types, shapes and values of one part of a data set.

    Raises:
        TurncoatError: if they do not fit each other or a value is not allowed.
    """
    for name, value in (("features", x), ("labels", y)):
        if not isinstance(value, Tensor):
            raise TurncoatError(
                f"{what}: {name} are {shown(value)}, but must be a tensor: from_arrays(x, y) takes anything else"
            )
    if x.dtype != torch.float32 or y.dtype != torch.int64:
        raise TurncoatError(f"{what}: types are {x.dtype} and {y.dtype}, but must be float32 and int64")
    if x.ndim != 2 or y.ndim != 1 or len(x) != len(y) or x.shape[1] != math.prod(shape):
        raise TurncoatError(
            f"{what}: features are {tuple(x.shape)}, labels {tuple(y.shape)}, but with examples of shape "
            f"{shape} they must be (n, {math.prod(shape)}) and (n,)"
        )
    if x.numel() == 0:
        raise TurncoatError(f"{what} is empty (shape {tuple(x.shape)})")
    require_finite(x, what)
    _require_squares(x, what)
    require_labels(y, classes, what)


def _require_squares(x: Tensor, what: str) -> None:
    """Refuse features whose squares float32 cannot add up: no gradient of theirs would be a number."""
    largest = max(abs(float(bound)) for bound in x.aminmax())
    if largest > LARGEST:
        row, column = (x.abs() == largest).nonzero()[0].tolist()
        raise TurncoatError(
            f"{what}: row {row}, column {column} is {float(x[row, column]):.3g} (counted from 0), but features may"
            f" reach {LARGEST:.0e}: give scale='standard', or divide the column by a fitting unit"
        )


def count_classes(y: np.ndarray, what: str) -> int:
    """Return C for labels that are exactly 0..C-1, each of them present.

    Raises:
        TurncoatError: if a label is negative or one below the largest never occurs.
    """
    found = np.unique(y)
    if len(found) and (found[0] < 0 or found[-1] != len(found) - 1):
        missing = int(np.flatnonzero(found != np.arange(len(found)))[0])
        told = "is negative" if found[0] < 0 else f"is the largest, but {missing} never occurs"
        first = int(found[0]) if found[0] < 0 else int(found[-1])
        raise TurncoatError(
            f"{what}: label {first} {told}; labels must be integers 0..C-1: renumber them, for example "
            "with numpy.unique(y, return_inverse=True)[1]"
        )
    return len(found)


def require_labels(y: Tensor, classes: int, what: str) -> None:
    """Check that all labels are in 0..classes-1.

    Raises:
        TurncoatError: names the first label outside, and its row counted from 0.
    """
    outside = ((y < 0) | (y >= classes)).nonzero()
    if len(outside):
        row = int(outside[0, 0])
        raise TurncoatError(
            f"{what}: label {int(y[row])} in row {row} (counted from 0) is outside 0..{classes - 1}"
        )


def named_classes(*parts: np.ndarray) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Map any labels to 0..C-1 in sorted order, the same way in every part; also return their names."""
    found, codes = np.unique(np.concatenate(parts), return_inverse=True)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return np.split(codes.astype(np.int64), ends), tuple(str(value) for value in found)


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return names in one line, cut after ``most``."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, … ({len(names)} in all)"


def _array(values: Any, what: str) -> np.ndarray:
    if isinstance(values, Tensor):
        if values.layout != torch.strided:
            raise TurncoatError(f"{what} is a {values.layout} tensor, but must be dense: give it .to_dense()")
        # NumPy knows no bfloat16.
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy(force=True)
    if np.ma.is_masked(values):
        raise TurncoatError(
            f"{what}: {int(np.ma.count_masked(values))} values are masked, but all are learned from: fill them in"
            " (.filled(…)), or leave their rows out"
        )
    try:
        return np.asarray(values)
    except ValueError as error:
        raise TurncoatError(f"{what}: rows differ in length, but all need the same shape") from error
