"""What is learned from: named data sets from their official files, and data of one's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from turncoat.data import catalogue, download
from turncoat.data.catalogue import Collection
from turncoat.data.dataset import TEST_SHARE, Dataset, build, from_arrays
from turncoat.data.files import read_file
from turncoat.data.holders import read_folder
from turncoat.data.scale import SCALES
from turncoat.data.source import only
from turncoat.data.tables import Asked
from turncoat.errors import TurncoatError, choose, known_arguments, share, shown, text, whole

__all__ = ["DATASETS", "SCALES", "Dataset", "Status", "fetch", "from_arrays", "load", "status", "verify"]

DATASETS: tuple[str, ...] = tuple(catalogue.DATASETS)
"""Names that ``load`` knows."""


class Status(NamedTuple):
    """Where a named data set stands: ``size`` is in bytes, ``verified`` means that every MD5 agrees."""

    name: str
    present: int
    files: int
    verified: bool
    size: int
    folder: str


@known_arguments
def load(
    name: str | Path,
    scale: str = "unit",
    *,
    label: str | None = None,
    drop: str | Sequence[str] | None = None,
    group: str | None = None,
    test_share: float = TEST_SHARE,
    seed: int = 0,
    fetch: bool = True,
    workers_from: str | None = None,
) -> Dataset:
    """Return a data set by name, or of a .npz, .csv, .tsv or .parquet file of one's own (.csv.gz too), or of a folder.

    Official files that are absent are fetched first, unless ``fetch`` is False.
    ``label`` names a table's label column, ``drop`` columns to leave out (several, or one text with commas), and
    rows of one value in the column ``group`` stay on one side of the split. ``test_share`` and ``seed`` say how a
    file is split that has no test part of its own. A folder holds one file for each worker of a federation; in a
    table, ``workers_from`` names the column that says who holds a row: ``Federation(partition="given", …)``.

    Raises:
        TurncoatError: if the name or scale is unknown, or the files cannot be had or used.
    """
    choose(scale, SCALES, "scale")
    share(test_share, "test_share")
    whole(seed, "seed")
    if not isinstance(fetch, bool):
        raise TurncoatError(f"fetch is {shown(fetch)}, but must be True or False")
    if not isinstance(name, str | Path) or str(name) not in DATASETS:
        asked = Asked(label, columns_to_drop(drop), group, workers_from)
        return _own(_own_path(name), asked, test_share, seed, scale)
    if workers_from is not None:
        raise TurncoatError(
            f"{name} does not say who holds what: leave workers_from out, or give a table or a folder of your own"
        )
    if any(value is not None for value in (label, drop, group)) or test_share != TEST_SHARE or seed != 0:
        raise TurncoatError(
            f"{name} has its labels and a fixed test part; label, drop, group, test_share and seed are for your own"
            " files"
        )
    entry = catalogue.DATASETS[str(name)]
    folder = download.folder_of_data()
    if entry.collection is not None:
        folder = folder / entry.collection.folder
        _provide(str(name), entry.collection, fetch)
    source = entry.read(folder)
    return build(only(source, entry.kept) if entry.kept else source, str(name), scale)


def fetch(name: str) -> Path | None:
    """Fetch the official files of a named data set where absent or damaged; return their folder.

    Returns None for a data set that needs no files.

    Raises:
        TurncoatError: if the name is unknown, no source answers, or a checksum is wrong.
    """
    collection = _collection(name)
    return None if collection is None else download.fetch_collection(collection, download.folder_of_data())


def verify(name: str) -> None:
    """Check that all files of a named data set are there with the official MD5 sums.

    Raises:
        TurncoatError: names the first file that is absent or differs.
    """
    collection = _collection(name)
    if collection is None:
        return
    folder = download.folder_of_data() / collection.folder
    for file, md5 in collection.files.items():
        found = download.md5_of(folder / file)
        if found is None:
            raise TurncoatError(f"{name}: {folder / file} is missing; type: turncoat data fetch {name}")
        if found != md5:
            raise TurncoatError(
                f"{name}: {folder / file} is damaged (MD5 {found}, official {md5}); type: "
                f"turncoat data fetch {name}"
            )


def status() -> list[Status]:
    """Return one row for each named data set; reads every file that is there, to check it."""
    known: dict[str, Status] = {}
    rows = []
    for name, entry in catalogue.DATASETS.items():
        if entry.collection is None:
            rows.append(Status(name, 0, 0, True, 0, "built in"))
            continue
        key = entry.collection.folder
        if key not in known:
            known[key] = _status(entry.collection)
        rows.append(known[key]._replace(name=name))
    return rows


def _status(collection: Collection) -> Status:
    folder = download.folder_of_data() / collection.folder
    there = {file: folder / file for file in collection.files if (folder / file).is_file()}
    sound = [file for file, path in there.items() if download.md5_of(path) == collection.files[file]]
    size = sum(path.stat().st_size for path in there.values())
    complete = len(sound) == len(collection.files)
    return Status("", len(there), len(collection.files), complete, size, str(folder))


def _collection(name: str) -> Collection | None:
    return catalogue.DATASETS[choose(name, DATASETS, "data set")].collection


def _provide(name: str, collection: Collection, fetch: bool) -> None:
    """Make sure that all files are there, whatever they hold: loaders check that."""
    root = download.folder_of_data()
    absent = [file for file in collection.files if not (root / collection.folder / file).is_file()]
    if not absent:
        return
    if not fetch:
        raise TurncoatError(
            f"{name}: {root / collection.folder / absent[0]} is missing; type: turncoat data fetch {name}; "
            f"{download.where_to_put(collection, root / collection.folder)}"
        )
    download.fetch_collection(collection, root)


def columns_to_drop(drop: str | Sequence[str] | None) -> tuple[str, ...]:
    """The columns to leave out.

    Raises:
        TurncoatError: if one is no name.
    """
    if drop is not None and not isinstance(drop, Sequence):
        raise TurncoatError(f'drop is {shown(drop)}, but must name columns: drop="a,b" or drop=["a", "b"]')
    names = [part.strip() for part in drop.split(",")] if isinstance(drop, str) else list(drop or ())
    return tuple(dict.fromkeys(text(name, "a column to drop") for name in names))


def _own(path: Path, asked: Asked, test_share: float, seed: int, scale: str) -> Dataset:
    if asked.worker is not None:
        text(asked.worker, "workers_from")
    if not path.is_dir():
        return read_file(path, asked, test_share, seed, scale)
    if asked.worker is not None:
        raise TurncoatError(
            f"{path}: a folder holds one file for each worker, so workers_from={asked.worker!r} does nothing: leave it"
            " out"
        )
    return read_folder(path, asked, test_share, seed, scale)


def _own_path(name: str | Path) -> Path:
    """Take what is not a known name for a path, unless it looks like a mistyped name."""
    if not isinstance(name, str | Path) or not str(name).strip():
        raise TurncoatError(
            f"data set is {shown(name)}; give one of {', '.join(DATASETS)}, or the path of a file"
        )
    path = Path(name).expanduser()
    try:
        is_there = path.exists()
    except OSError as error:  # a name that is too long
        raise TurncoatError(f"data set {shown(name)}: {error.strerror or error}") from error
    if isinstance(name, str) and not path.suffix and "/" not in name and not is_there:
        choose(name, DATASETS, "data set")
    return path
