"""Data of one's own: .npz archives of arrays, and tables (.csv, .tsv, .parquet) with a label column."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from turncoat.data.dataset import Dataset, from_arrays
from turncoat.data.tables import TABLES, Asked, ending_of, from_table
from turncoat.errors import TurncoatError, choose, reason

ARRAYS = ("x", "y", "x_test", "y_test")
ENDINGS = ".npz, .csv, .tsv or .parquet"


def read_file(path: Path, asked: Asked, test_share: float, seed: int, scale: str) -> Dataset:
    """Make a data set of a .npz, .csv, .tsv or .parquet file, chosen by its ending; text may be packed (.csv.gz).

    Raises:
        TurncoatError: if there is no such file, its ending is another, or its content cannot be used.
    """
    if ending_of(path) not in (".npz", *TABLES):
        raise TurncoatError(f"{path}: ends in {path.suffix.lower()!r}, but data files end in {ENDINGS}")
    if not path.is_file():
        raise TurncoatError(f"{path}: there is no such file; give the path of a {ENDINGS} file")
    if path.stat().st_size == 0:
        raise TurncoatError(f"{path}: the file is empty")
    if ending_of(path) == ".npz":
        refuse_asked(path, asked)
        return from_npz(path, test_share, seed, scale)
    return from_table(path, asked, test_share, seed, scale)


def refuse_asked(path: Path, asked: Asked) -> None:
    """Refuse what is asked of a table, for an archive.

    Raises:
        TurncoatError: names the first of it.
    """
    named = asked._asdict() | {"workers_from": asked.worker}
    given = [f"{name}={value!r}" for name, value in named.items() if value and name != "worker"]
    if given:
        raise TurncoatError(f"{path}: {given[0]} is for tables; an .npz file has its labels in 'y'")


def from_npz(path: Path, test_share: float, seed: int, scale: str) -> Dataset:
    """Make a data set of the arrays x, y and, if they are there, x_test and y_test; nothing is unpickled.

    Raises:
        TurncoatError: if the archive is damaged, an array is absent or unknown, or as for from_arrays.
    """
    arrays = read_arrays(path)
    features, labels = arrays.pop("x"), arrays.pop("y")
    return from_arrays(
        features, labels, name=path.name, test_share=test_share, seed=seed, scale=scale, **arrays
    )


def read_arrays(path: Path) -> dict[str, Any]:
    """The arrays of an archive, x and y among them.

    Raises:
        TurncoatError: if the archive is damaged, or an array is absent or unknown.
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
        raise TurncoatError(f"{path}: cannot be read as a NumPy .npz archive ({reason(error)})") from error
    absent = [name for name in ("x", "y") if name not in arrays]
    if absent:
        raise TurncoatError(
            f"{path}: array {absent[0]!r} is missing; write it with numpy.savez(path, x=x, y=y)"
        )
    return arrays
