"""Tables as text, plain or packed by gzip: which character separates the fields is found out."""

import csv
import gzip
import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from turncoat.errors import TurncoatError

SEPARATORS = {".csv": (",", ";", "\t", "|"), ".tsv": ("\t", ",", ";", "|")}
RECORDS = 50  # from the start of a file, by which its separator is told
DECIMAL_COMMA = r"[+-]?\d+(,\d+)?"
LONGEST = 1 << 20  # characters of one line that are looked at


def separator(path: Path, ending: str) -> str:
    """The character that parts the first records into the same number of fields, the most of them.

    Raises:
        OSError, UnicodeDecodeError: if the file cannot be read.
    """
    lines = list(itertools.islice(_lines(path), RECORDS))
    usual = SEPARATORS[ending][0]
    found = {mark: _fields(lines, mark) for mark in SEPARATORS[ending]}
    best = max(found, key=lambda mark: (found[mark], mark == usual))
    return best if found[best] > 1 else usual


def header(path: Path, mark: str) -> pd.Series:
    """The first record as it stands: pandas would rename the second of two columns of one name."""
    names = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, sep=mark)
    return names.iloc[0].map(str)


def decimal(path: Path, mark: str, frame: pd.DataFrame) -> str:
    """A comma where fields are separated otherwise and a column holds numbers with one."""
    if mark == ",":
        return "."
    for name in frame.columns[~frame.dtypes.map(pd.api.types.is_numeric_dtype)]:
        words = frame[name].dropna().astype(str)
        if (
            len(words)
            and words.str.contains(",", regex=False).any()
            and words.str.fullmatch(DECIMAL_COMMA).all()
        ):
            return ","
    return "."


def _lines(path: Path) -> Iterator[str]:
    try:
        opened = gzip.open if path.suffix.lower() == ".gz" else open
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            while line := file.readline(LONGEST):
                yield line
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise TurncoatError(
            f"{path}: the gzip file is damaged or truncated ({error}); write it anew"
        ) from error


def _fields(lines: list[str], mark: str) -> int:
    """How many fields every record has; 0 where they differ."""
    try:
        # the last one may be cut off within a quoted field
        records = [record for record in csv.reader(lines, delimiter=mark) if record]
    except csv.Error:
        return 0
    records = records[:-1] if len(lines) == RECORDS else records
    widths = {len(record) for record in records}
    return widths.pop() if len(widths) == 1 else 0
