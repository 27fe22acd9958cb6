"""The columns of a table as features: numbers as they stand, text one value at a time, gaps filled.

What is learned to that end (medians, which values there are) is learned from the training part alone.
"""

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64
from pandas.api import types

from turncoat.data.checks import first_not_finite
from turncoat.data.origin import LEFT_OUT, Column
from turncoat.errors import TurncoatError, shown

MOST = 32  # features that a column of text becomes at most
NUMBERS = 0.9  # share of a column's values that are numbers, from which on the others are taken for mistakes
ID = "left out: it holds another value in each row, as an id does"
GAP = "(missing)"
DAY = np.timedelta64(1, "D")


@dataclasses.dataclass(frozen=True, eq=False)
class Encoded:
    """One column as features, with their names and what was done."""

    column: Column
    names: tuple[str, ...]
    values: np.ndarray  # (n, features)


def encode(
    path: Path, frame: pd.DataFrame, fitted: Int64[np.ndarray, " f"], aside: dict[str, str]
) -> tuple[np.ndarray, tuple[Column, ...], tuple[str, ...]]:
    """Features (n, d) of all columns but those in ``aside``, which says why; learned from the rows ``fitted``.

    Raises:
        TurncoatError: if a column cannot be a feature, a number is infinite, or no column is left.
    """
    parts = [_encoded(path, str(name), frame[name], fitted, aside) for name in frame.columns]
    if not any(part.column.features for part in parts):
        parts = [_last_resort(frame[part.column.name], part) for part in parts]
    columns = tuple(part.column for part in parts)
    kept = [part for part in parts if part.column.features]
    if not kept:
        told = "; ".join(f"{column.name!r} is {column.told}" for column in columns[:4])
        more = f" and {len(columns) - 4} more" if len(columns) > 4 else ""
        raise TurncoatError(
            f"{path}: there is no column beside the label that can be a feature"
            + f" ({told}{more})" * bool(told)
        )
    names = tuple(name for part in kept for name in part.names)
    return _joined([part.values for part in kept]), columns, names


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """All features side by side, in the number type they share if they do."""
    alike = {part.dtype for part in parts}
    dtype = alike.pop() if len(alike) == 1 else np.dtype(np.float64)
    x = np.empty((len(parts[0]), sum(part.shape[1] for part in parts)), dtype=dtype)
    start = 0
    for part in parts:
        x[:, start : start + part.shape[1]] = part
        start += part.shape[1]
    return x


def _encoded(
    path: Path, name: str, column: pd.Series, fitted: Int64[np.ndarray, " f"], aside: dict[str, str]
) -> Encoded:
    if name in aside:
        return _left_out(name, column, aside[name])
    if types.is_complex_dtype(column):
        raise _odd(path, name, f"type {column.dtype}")
    kind = _kind(path, name, column)
    if why := _idle(column, kind):
        return _left_out(name, column, why)
    if kind == "text":
        return _text(name, column, fitted)
    return _number(path, name, column, fitted, kind)


def _kind(path: Path, name: str, column: pd.Series) -> str:
    if types.is_numeric_dtype(column):
        return "number"
    if types.is_datetime64_any_dtype(column):
        return "date"
    values = column.dropna()
    odd = next((value for value in values if not isinstance(value, str | bool | int | float)), None)
    if odd is not None and not isinstance(column.dtype, pd.CategoricalDtype):
        raise _odd(path, name, shown(odd))
    _refuse_stray_words(path, name, column)
    return "text"


def _idle(column: pd.Series, kind: str) -> str:
    """Why a column says nothing; empty if it may say something."""
    values = column.dropna()
    distinct = values.nunique()
    if not distinct:
        return "left out: it is empty"
    if distinct == 1 and (kind != "text" or len(values) == len(column)):
        return "left out: it holds one value alone"
    if distinct == len(column) and (kind == "text" or types.is_integer_dtype(column)):
        return ID
    return ""


def _last_resort(column: pd.Series, part: Encoded) -> Encoded:
    """Whole numbers that look like an id are a feature where there is no other."""
    if part.column.told != ID or not types.is_numeric_dtype(column):
        return part
    told = "kept, for there is no other feature, though it holds another value in each row, as an id does"
    return Encoded(Column(part.column.name, "number", told, 1), (part.column.name,), _plain(column, False))


def _left_out(name: str, column: pd.Series, why: str) -> Encoded:
    return Encoded(Column(name, LEFT_OUT, why, 0), (), np.empty((len(column), 0)))


def _number(path: Path, name: str, column: pd.Series, fitted: Int64[np.ndarray, " f"], kind: str) -> Encoded:
    gaps = column.isna().to_numpy()
    values = _dates(column) if kind == "date" else _plain(column, bool(gaps.any()))
    _refuse_infinite(path, name, values, gaps)
    told = ["a date, in days since 1970"] if kind == "date" else []
    if gaps.any():
        from sklearn.impute import SimpleImputer

        median = SimpleImputer(strategy="median", keep_empty_features=True).fit(values[fitted])
        values = median.transform(values)
        filled = f"the training part's median {median.statistics_[0]:.6g}"
        told.append(f"{gaps.sum()} of {len(column)} values missing, filled with {filled}")
    return Encoded(Column(name, kind, "; ".join(told), 1), (name,), values)


def _plain(column: pd.Series, gaps: bool) -> np.ndarray:
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "if" and not gaps:
        return column.to_numpy().reshape(-1, 1)
    return column.to_numpy(dtype=np.float64, na_value=np.nan).reshape(-1, 1)


def _dates(column: pd.Series) -> Float[np.ndarray, "n 1"]:
    moments = column.dt.tz_convert(None) if getattr(column.dtype, "tz", None) is not None else column
    days = (moments.to_numpy(dtype="datetime64[ns]") - np.datetime64(0, "ns")) / DAY
    return np.asarray(days, dtype=np.float64).reshape(-1, 1)


def _text(name: str, column: pd.Series, fitted: Int64[np.ndarray, " f"]) -> Encoded:
    from sklearn.preprocessing import OneHotEncoder

    gaps = int(column.isna().sum())
    words = column.astype(object).where(column.notna(), GAP).astype(str).to_numpy(dtype=object).reshape(-1, 1)
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=MOST, sparse_output=False, dtype=np.float64
    )
    encoder.fit(words[fitted])
    with warnings.catch_warnings():  # a value that the training part lacks has no feature: that is meant
        warnings.simplefilter("ignore", UserWarning)
        values = encoder.transform(words)
    distinct = len(encoder.categories_[0])
    rare = encoder.infrequent_categories_[0]
    told = f"text of {distinct} values, a feature each"
    if rare is not None:
        told = (
            f"text of {distinct} values: a feature for each of the {MOST - 1} commonest, one for all others"
        )
    if gaps:
        told += f"; {gaps} of {len(column)} missing, which counts as a value"
    seen = [value for value in encoder.categories_[0] if rare is None or value not in set(rare)]
    names = tuple(f"{name} = {value}" for value in [*seen, *(["(another)"] if rare is not None else [])])
    return Encoded(Column(name, "text", told, values.shape[1]), names, values)


def _refuse_stray_words(path: Path, name: str, column: pd.Series) -> None:
    """A few words among numbers are mistakes, not values of their own."""
    there = column.notna()
    strange = (pd.to_numeric(column.astype(str), errors="coerce").isna() & there).to_numpy()
    if 0 < strange.sum() <= (1 - NUMBERS) * there.sum():
        row = int(strange.argmax())
        raise _odd(path, name, f"row {row + 1}: {str(column.iloc[row])[:40]!r}")


def _refuse_infinite(path: Path, name: str, values: np.ndarray, gaps: np.ndarray) -> None:
    place = first_not_finite(values if not gaps.any() else np.where(gaps[:, None], 0.0, values))
    if place is not None:
        raise TurncoatError(
            f"{path}: row {place[0] + 1}, column {name!r} is {values[place]} (counted from 1, without the header): "
            "write a number, or leave it empty, which counts as missing"
        )


def _odd(path: Path, name: str, what: str) -> TurncoatError:
    return TurncoatError(
        f"{path}: column {name!r} is not numeric ({what}), nor text throughout: write numbers alone, leave what is"
        f" missing empty, or leave the column out with drop={name!r} (on the command line --drop)"
    )
