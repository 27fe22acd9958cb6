"""Data of one's own: .npz archives of arrays, and .csv and .parquet tables with a label column."""

import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api import types

from turncoat.data.checks import first_not_finite, listed, named_classes
from turncoat.data.dataset import Dataset, build, from_arrays
from turncoat.data.source import Source
from turncoat.data.split import stratified
from turncoat.errors import TurncoatError, choose

ARRAYS = ("x", "y", "x_test", "y_test")

_INTEGER = re.compile(r"0|-?[1-9]\d{0,17}")  # as Python writes it, within 64 bits


def read_file(path: Path, label: str | None, test_share: float, seed: int, scale: str) -> Dataset:
    """Make a data set of a .npz, .csv or .parquet file, chosen by its ending.

    Raises:
        TurncoatError: if there is no such file, its ending is another, or its content cannot be used.
    """
    ending = path.suffix.lower()
    if ending not in (".npz", *TABLES):
        raise TurncoatError(f"{path}: ends in {ending!r}, but data files end in .npz, .csv or .parquet")
    if not path.is_file():
        told = "is a folder" if path.is_dir() else "there is no such file"
        raise TurncoatError(f"{path}: {told}; give the path of a .npz, .csv or .parquet file")
    if path.stat().st_size == 0:
        raise TurncoatError(f"{path}: the file is empty")
    if ending == ".npz":
        if label is not None:
            raise TurncoatError(f"{path}: label={label!r} is for tables; an .npz file has its labels in 'y'")
        return from_npz(path, test_share, seed, scale)
    return from_table(path, label, test_share, seed, scale)


def from_npz(path: Path, test_share: float, seed: int, scale: str) -> Dataset:
    """Make a data set of the arrays x, y and, if they are there, x_test and y_test; nothing is unpickled.

    Raises:
        TurncoatError: if the archive is damaged, an array is absent or unknown, or as for from_arrays.
    """
    try:
        with path.open("rb") as file:
            if file.read(2) != b"PK":
                raise TurncoatError(
                    f"{path}: not a NumPy .npz archive; write it with numpy.savez(path, x=x, y=y)"
                )
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                for name in archive.files:
                    choose(name, ARRAYS, f"array in {path}")
                arrays = {name: archive[name] for name in archive.files}
    except TurncoatError:
        raise
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise TurncoatError(
            f"{path}: cannot be read as a NumPy .npz archive ({_first_line(error)})"
        ) from error
    absent = [name for name in ("x", "y") if name not in arrays]
    if absent:
        raise TurncoatError(
            f"{path}: array {absent[0]!r} is missing; write it with numpy.savez(path, x=x, y=y)"
        )
    features, labels = arrays.pop("x"), arrays.pop("y")
    return from_arrays(
        features, labels, name=path.name, test_share=test_share, seed=seed, scale=scale, **arrays
    )


def from_table(path: Path, label: str | None, test_share: float, seed: int, scale: str) -> Dataset:
    """Make a data set of a table; ``label`` names the column of classes, integers or strings of any kind.

    Labels of a .csv are read as they stand, so that "01" is no "1" and "None" a class; those that are all integers are
    integers. They are mapped to 0..C-1 in sorted order and kept as class names; all other columns are features.

    Raises:
        TurncoatError: if the table is damaged, the label column is absent or not of classes, a feature
            column is not numeric, or a value is missing.
    """
    frame = _frame(path, label)
    column = _label_column(path, frame, label)
    values = _classes(path, frame, column)
    x = _features(path, frame.drop(columns=[column]))
    del frame
    (y,), names = named_classes(values)
    kept, held_out = stratified(values, test_share, seed, str(path))
    parts = (x[kept], y[kept], x[held_out], y[held_out])
    return build(Source(*parts, len(names), (x.shape[1],), None, names), path.name, scale)


def _csv(path: Path, label: str | None) -> pd.DataFrame:
    # read as it stands: pandas gives the second of two columns of one name another one
    header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False).iloc[0]
    for number, name in enumerate(header, 1):
        if not name.strip():  # pandas would make up a name
            raise TurncoatError(
                f"{path}: column {number} has no name, as when row numbers are written too; leave them out (in"
                " pandas to_csv(…, index=False)), or name the column"
            )
    _refuse_twice(path, header)
    frame = pd.read_csv(path, low_memory=False)
    if label in frame.columns:  # as it stands: pandas takes "01" for 1, and "None" for nothing
        text = pd.read_csv(path, usecols=[label], dtype=str, keep_default_na=False)
        frame[label] = text[label]
    return frame


def _parquet(path: Path, label: str | None) -> pd.DataFrame:
    frame = pd.read_parquet(path)
    named = [name for name in frame.index.names if name is not None]
    return frame.reset_index(named) if named else frame  # a named index was a column


TABLES: dict[str, Callable[[Path, str | None], pd.DataFrame]] = {".csv": _csv, ".parquet": _parquet}


def _refuse_twice(path: Path, names: pd.Series) -> None:
    if names.duplicated().any():
        twice = names[names.duplicated()].iloc[0]
        raise TurncoatError(f"{path}: two columns are named {twice!r}; give each its own name")


def _frame(path: Path, label: str | None) -> pd.DataFrame:
    ending = path.suffix.lower()
    try:
        frame = TABLES[ending](path, label)
    except TurncoatError:
        raise
    # Arrow's and pandas' own errors are kinds of ValueError and OSError.
    except (OSError, ValueError, NotImplementedError) as error:
        raise TurncoatError(f"{path}: cannot be read as {ending} ({_first_line(error)})") from error
    if ending == ".csv" and not isinstance(frame.index, pd.RangeIndex):
        raise TurncoatError(f"{path}: rows have more fields than the header; give every column a name")
    if not len(frame):
        raise TurncoatError(f"{path}: the table has no rows")
    frame.columns = frame.columns.map(str)
    _refuse_twice(path, frame.columns.to_series())
    return frame


def _label_column(path: Path, frame: pd.DataFrame, label: str | None) -> str:
    if label is None:
        raise TurncoatError(
            f'{path}: a table needs the name of its label column: give label="…" (on the command line --label …),'
            f" one of {listed(list(frame.columns))}"
        )
    if label not in frame.columns and len(frame.columns) > 20:
        raise TurncoatError(f"{path}: no column {label!r}; the columns are {listed(list(frame.columns))}")
    return choose(label, frame.columns, f"column in {path}")


def _classes(path: Path, frame: pd.DataFrame, column: str) -> np.ndarray:
    """Return the label column as integers or strings, with no value missing."""
    series = frame[column]
    missing = (series.isna() | (series == "")).to_numpy(dtype=bool)
    if missing.any():
        raise TurncoatError(
            f"{path}: row {int(missing.argmax()) + 1}, column {column!r} is missing (counted from 1, without the"
            " header): fill it in or drop the row"
        )
    if path.suffix.lower() == ".csv":
        return _read_text(path, series)
    kind = types.infer_dtype(series, skipna=False)
    if kind == "categorical":
        series = series.astype(series.cat.categories.dtype)
        kind = types.infer_dtype(series, skipna=False)
    if kind == "integer" and int(series.max()) > np.iinfo(np.int64).max:
        raise TurncoatError(
            f"{path}: label column {column!r} holds {series.max()}, but integer classes must be below 2**63"
        )
    if kind in ("integer", "boolean"):
        return series.to_numpy(dtype=np.int64) if kind == "integer" else series.to_numpy(dtype=str)
    if kind == "string" or (kind == "floating" and bool((series % 1 == 0).all())):
        return series.to_numpy(dtype=str)
    raise _no_classes(path, column, kind, str(series.iloc[0]))


def _read_text(path: Path, series: pd.Series) -> np.ndarray:
    """Return labels that are all integers, written as integers are, as such; others as they stand."""
    found = series.unique()
    if all(_INTEGER.fullmatch(text.strip()) for text in found):
        return series.str.strip().to_numpy(dtype=np.int64)
    numbers = pd.to_numeric(pd.Series(found), errors="coerce")
    if bool((numbers.notna() & (numbers % 1 != 0)).any()) and bool(numbers.notna().all()):
        raise _no_classes(path, str(series.name), "floating", str(series.iloc[0]))
    return series.to_numpy(dtype=str)


def _no_classes(path: Path, column: str, kind: str, first: str) -> TurncoatError:
    return TurncoatError(
        f"{path}: label column {column!r} holds {kind} values (row 1: {first}), but classes must be integers or"
        " strings"
    )


def _features(path: Path, frame: pd.DataFrame) -> np.ndarray:
    """Return all columns as one array of numbers, finite and complete."""
    if not len(frame.columns):
        raise TurncoatError(f"{path}: there is no column beside the label; features are needed")
    for name, column in frame.items():
        if not types.is_numeric_dtype(column) or types.is_complex_dtype(column):
            raise TurncoatError(
                f"{path}: column {name!r} is not numeric ({_odd_value(column)}); features must be numbers: "
                "encode it or drop the column"
            )
    first = frame.dtypes.iloc[0]
    alike = isinstance(first, np.dtype) and first.kind in "if" and bool((frame.dtypes == first).all())
    dtype = first if alike else np.dtype(np.float64)
    x = frame.to_numpy() if alike else frame.to_numpy(dtype=dtype, na_value=np.nan)
    place = first_not_finite(x)
    if place is not None:
        row, column_number = place
        value = x[row, column_number]
        told = "missing" if np.isnan(value) else str(value)
        raise TurncoatError(
            f"{path}: row {row + 1}, column {frame.columns[column_number]!r} is {told} (counted from 1, "
            "without the header): fill it in or drop the row"
        )
    return x


def _odd_value(column: pd.Series) -> str:
    """Say where the first value stands that is not a number."""
    odd = (pd.to_numeric(column.astype(str), errors="coerce").isna() & column.notna()).to_numpy()
    row = int(odd.argmax())
    return f"row {row + 1}: {str(column.iloc[row])[:40]!r}" if odd.any() else f"type {column.dtype}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
