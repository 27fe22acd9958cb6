"""A table as a data set: its label column holds classes, its other columns become features."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.api import types

from turncoat.data import columns, separated
from turncoat.data.checks import listed, named_classes
from turncoat.data.dataset import Dataset, build, held_by
from turncoat.data.origin import Origin
from turncoat.data.source import Source
from turncoat.data.split import grouped, stratified
from turncoat.errors import TurncoatError, choose, reason, text

BYTE_ORDERS = (b"\xff\xfe", b"\xfe\xff")  # what a UTF-16 file begins with
_INTEGER = re.compile(r"0|-?[1-9]\d{0,17}")  # as Python writes it, within 64 bits


class Asked(NamedTuple):
    """How a table is to be read: its label column, what to leave out, whose rows stay together, who holds them."""

    label: str | None = None
    drop: tuple[str, ...] = ()
    group: str | None = None
    worker: str | None = None  # the column that names who holds a row


def ending_of(path: Path) -> str:
    """The ending that says what a file holds: .csv for mine.csv and for mine.csv.gz."""
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    ending = plain.suffix.lower()
    return path.suffix.lower() if plain != path and ending not in (".csv", ".tsv") else ending


def from_table(path: Path, asked: Asked, test_share: float, seed: int, scale: str) -> Dataset:
    """Make a data set of a table, whose label column holds classes: integers or strings of any kind.

    Labels of text files are read as they stand, so that "01" is no "1" and "None" a class; those that are all integers
    are integers. They are mapped to 0..C-1 in sorted order and kept as class names; all other columns become features.

    Raises:
        TurncoatError: if the table is damaged, a named column is absent, the label column is not of classes, or
            another cannot be a feature.
    """
    return from_frame(path, path.name, read_table(path, asked.label), asked, test_share, seed, scale)


def from_frame(
    path: Path, name: str, frame: pd.DataFrame, asked: Asked, test_share: float, seed: int, scale: str
) -> Dataset:
    """The same of a table that was read; ``path`` is what messages call it.

    Raises:
        TurncoatError: as ``from_table``, or if it does not say of every row who holds it.
    """
    column = _label_column(path, frame, asked.label)
    aside = _aside(path, frame, column, asked)
    values = _classes(path, frame, column)
    (y,), names = named_classes(values)
    if asked.group is None:
        kept, held_out = stratified(values, test_share, seed, str(path))
    else:
        kept, held_out = grouped(values, frame[asked.group], test_share, seed, str(path), asked.group)
    x, done, features = columns.encode(path, frame.drop(columns=[column]), kept, aside)
    workers = None if asked.worker is None else _workers(path, frame[asked.worker])
    del frame
    parts = (x[kept], y[kept], x[held_out], y[held_out])
    made = build(Source(*parts, len(names), (x.shape[1],), None, names), name, scale)
    made = replace(made, origin=Origin(kept, held_out, done, features))
    return made if workers is None else held_by(made, workers, kept)


def _aside(path: Path, frame: pd.DataFrame, label: str, asked: Asked) -> dict[str, str]:
    """The columns that are no features, and why."""
    named = [*asked.drop, *(name for name in (asked.group, asked.worker) if name is not None)]
    for name in named:
        choose(name, frame.columns, f"column in {path}")
        if name == label:
            raise TurncoatError(
                f"{path}: {name!r} is the label column; leave it out of drop, group and workers_from"
            )
    found = dict.fromkeys(asked.drop, "left out as asked")
    if asked.group is not None:
        found[asked.group] = "left out: it says which rows stay on one side of the split"
    if asked.worker is not None:
        found[asked.worker] = "left out: it names the worker that holds the row"
    return found


def _workers(path: Path, column: pd.Series) -> np.ndarray:
    missing = column.isna().to_numpy(dtype=bool)
    if missing.any():
        raise TurncoatError(
            f"{path}: row {int(missing.argmax()) + 1}, column {column.name!r} is empty (counted from 1, without the"
            " header), but every row must have a worker"
        )
    return column.to_numpy(dtype=str)


def _csv(path: Path, label: str | None) -> pd.DataFrame:
    # read as it stands: pandas gives the second of two columns of one name another one
    mark = separated.separator(path, ending_of(path))
    header = separated.header(path, mark)
    for number, name in enumerate(header, 1):
        if not name.strip():  # pandas would make up a name
            raise TurncoatError(
                f"{path}: column {number} has no name, as when row numbers are written too; leave them out (in"
                " pandas to_csv(…, index=False)), or name the column"
            )
    _refuse_twice(path, header)
    frame = pd.read_csv(path, low_memory=False, sep=mark)
    point = separated.decimal(path, mark, frame)
    if point != ".":
        frame = pd.read_csv(path, low_memory=False, sep=mark, decimal=point)
    if label in frame.columns:  # as it stands: pandas takes "01" for 1, and "None" for nothing
        text = pd.read_csv(path, usecols=[label], dtype=str, keep_default_na=False, sep=mark)
        frame[label] = text[label]
    return frame


def _parquet(path: Path, label: str | None) -> pd.DataFrame:
    frame = pd.read_parquet(path)
    named = [name for name in frame.index.names if name is not None]
    return frame.reset_index(named) if named else frame  # a named index was a column


TABLES: dict[str, Callable[[Path, str | None], pd.DataFrame]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
}


def _refuse_twice(path: Path, names: pd.Series) -> None:
    if names.duplicated().any():
        twice = names[names.duplicated()].iloc[0]
        raise TurncoatError(f"{path}: two columns are named {twice!r}; give each its own name")


def read_table(path: Path, label: str | None) -> pd.DataFrame:
    """The table as it stands, its columns named by text; of a text file the label column stays text.

    Raises:
        TurncoatError: if it is damaged, has no rows, or has columns without a name of their own.
    """
    ending = ending_of(path)
    if label is not None:
        text(label, "label")
    try:
        frame = TABLES[ending](path, label)
    except TurncoatError:
        raise
    except UnicodeDecodeError as error:
        written = "UTF-16" if bytes(error.object[:2]) in BYTE_ORDERS else "LATIN1"
        raise TurncoatError(
            f"{path}: cannot be read as {ending}, for byte {error.start + 1} is not UTF-8: save the table as UTF-8, or"
            f" convert it, for example with: iconv -f {written} -t UTF-8 {path.name} > utf8{path.suffix}"
        ) from error
    # Arrow's and pandas' own errors are kinds of ValueError and OSError.
    except (OSError, ValueError, NotImplementedError) as error:
        raise TurncoatError(f"{path}: cannot be read as {ending} ({reason(error)})") from error
    if ending != ".parquet" and not isinstance(frame.index, pd.RangeIndex):
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
    if ending_of(path) != ".parquet":
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
