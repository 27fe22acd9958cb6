"""A folder with one file for each worker of a federation, all tables or all archives of arrays."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from turncoat.data.checks import listed
from turncoat.data.dataset import Dataset, from_arrays, held_by
from turncoat.data.files import ARRAYS, ENDINGS, read_arrays, refuse_asked
from turncoat.data.split import stratified
from turncoat.data.tables import TABLES, Asked, ending_of, from_frame, read_table
from turncoat.errors import TurncoatError

WORKER = "(worker)"  # the column that says which file a row is of


def read_folder(folder: Path, asked: Asked, test_share: float, seed: int, scale: str) -> Dataset:
    """Make a data set of all files of a folder; each is one worker's, called as the file without its ending.

    Raises:
        TurncoatError: if there is no file, the files are not alike, or as for a single one.
    """
    known = (".npz", *TABLES)
    files = sorted(file for file in folder.iterdir() if file.is_file() and ending_of(file) in known)
    if not files:
        raise TurncoatError(f"{folder}: there is no {ENDINGS} file in it, one for each worker")
    endings = {ending_of(file) for file in files}
    if len(endings) > 1 or len({_worker(file) for file in files}) < len(files):
        told = listed([file.name for file in files])
        raise TurncoatError(f"{folder}: the files are {told}; give each worker one, all of one kind")
    how = (test_share, seed, scale)
    if endings == {".npz"}:
        refuse_asked(folder, asked)
        return _of_arrays(folder, files, *how)
    frames = {file: read_table(file, asked.label) for file in files}
    first, *others = frames.items()
    for file, frame in others:
        if odd := set(frame.columns) ^ set(first[1].columns):
            raise TurncoatError(
                f"{file}: column {sorted(odd)[0]!r} is not in both {file.name} and {first[0].name}; all workers'"
                " files must have the same columns"
            )
    parts = [frame.assign(**{WORKER: _worker(file)}) for file, frame in frames.items()]
    whole = pd.concat(parts, ignore_index=True)
    everybody = folder / f"*{endings.pop()}"
    return from_frame(everybody, folder.name, whole, asked._replace(worker=WORKER), *how)


def _of_arrays(folder: Path, files: list[Path], share: float, seed: int, scale: str) -> Dataset:
    read = [read_arrays(file) for file in files]
    for file, arrays in zip(files, read, strict=True):
        if set(arrays) != set(read[0]) or arrays["x"].shape[1:] != read[0]["x"].shape[1:]:
            raise TurncoatError(
                f"{file}: its arrays are not those of {files[0].name}; all workers' files must have the same, of"
                " examples of one shape"
            )
    whole: dict[str, Any] = {
        name: np.concatenate([arrays[name] for arrays in read]) for name in ARRAYS if name in read[0]
    }
    workers = np.repeat([_worker(file) for file in files], [len(arrays["y"]) for arrays in read])
    x, y = whole.pop("x"), whole.pop("y")
    kept = np.arange(len(y)) if whole else stratified(y, share, seed, str(folder))[0]
    data = from_arrays(x, y, name=folder.name, test_share=share, seed=seed, scale=scale, **whole)
    return held_by(data, workers, kept)


def _worker(file: Path) -> str:
    """The file's name without its endings."""
    plain = file.with_suffix("") if file.suffix.lower() == ".gz" else file
    return plain.stem
