"""CIFAR's binary version: records of one or two label bytes and 3,072 pixels, channel by channel."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from turncoat.data.source import Source
from turncoat.errors import TurncoatError

PIXELS = 3 * 32 * 32
SHAPE = (3, 32, 32)
TRAIN_10 = tuple(f"data_batch_{number}.bin" for number in range(1, 6))


def read_10(folder: Path, class_names: tuple[str, ...], per_file: int = 10_000) -> Source:
    """Return CIFAR-10 from its six official files, each of ``per_file`` records.

    Raises:
        TurncoatError: if a file is absent, of the wrong size, or holds a label above 9.
    """
    x, y = read_records([folder / name for name in TRAIN_10], (10,), per_file)
    x_test, y_test = read_records([folder / "test_batch.bin"], (10,), per_file)
    return Source(x, y, x_test, y_test, 10, SHAPE, 255.0, class_names)


def read_100(folder: Path, class_names: tuple[str, ...], sizes: tuple[int, int] = (50_000, 10_000)) -> Source:
    """Return CIFAR-100 with its fine labels; ``sizes`` are the records of train.bin and test.bin.

    Raises:
        TurncoatError: if a file is absent, of the wrong size, or holds a label out of range.
    """
    x, y = read_records([folder / "train.bin"], (20, 100), sizes[0])
    x_test, y_test = read_records([folder / "test.bin"], (20, 100), sizes[1])
    return Source(x, y, x_test, y_test, 100, SHAPE, 255.0, class_names)


def read_records(
    paths: list[Path], ranges: tuple[int, ...], per_file: int
) -> tuple[UInt8[np.ndarray, "n d"], UInt8[np.ndarray, " n"]]:
    """Return pixels and last label of all records; ``ranges`` has the number of values of each label byte.

    Raises:
        TurncoatError: if a file is absent, has not ``per_file`` records, or a label is out of range.
    """
    x = np.empty((len(paths) * per_file, PIXELS), dtype=np.uint8)
    y = np.empty(len(x), dtype=np.uint8)
    for place, path in enumerate(paths):
        _require_size(path, per_file, len(ranges) + PIXELS)
        # Mapped, so that the only copy made is the one into place.
        records = np.memmap(path, dtype=np.uint8, mode="r").reshape(per_file, len(ranges) + PIXELS)
        for column, allowed in enumerate(ranges):
            _require_range(path, records[:, column], allowed)
        rows = slice(place * per_file, (place + 1) * per_file)
        x[rows], y[rows] = records[:, len(ranges) :], records[:, len(ranges) - 1]
    return x, y


def _require_size(path: Path, records: int, length: int) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise TurncoatError(f"{path}: cannot be read ({error.strerror or error})") from error
    if size != records * length:
        told = "empty" if size == 0 else f"{size} bytes long"
        raise TurncoatError(
            f"{path}: is {told}, but {records} records of {length} bytes are {records * length}: it is "
            "truncated or not CIFAR's binary version; delete it and fetch it again"
        )


def _require_range(path: Path, labels: UInt8[np.ndarray, " n"], allowed: int) -> None:
    if labels.max() >= allowed:
        row = int(labels.argmax())
        raise TurncoatError(
            f"{path}: label {labels[row]} in record {row} (counted from 0) is outside 0..{allowed - 1}: the "
            "file is damaged or of another data set"
        )
