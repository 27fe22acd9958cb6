"""MNIST's idx files: a header of big-endian numbers, then bytes, all of it compressed with gzip."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from turncoat.data.source import Source
from turncoat.errors import TurncoatError

UNSIGNED_BYTE = 0x08  # the type code in the third byte of the magic number
AGAIN = "delete it and fetch it again"


def read(folder: Path) -> Source:
    """Return MNIST from its four official files in ``folder``.

    Raises:
        TurncoatError: if a file is absent, damaged, or does not fit the others.
    """
    x, y = _part(folder, "train")
    x_test, y_test = _part(folder, "t10k")
    if x.shape[1:] != x_test.shape[1:]:
        raise TurncoatError(f"{folder}: images are {x.shape[1:]} in train, {x_test.shape[1:]} in t10k")
    names = tuple(str(digit) for digit in range(10))
    flat, flat_test = x.reshape(len(x), -1), x_test.reshape(len(x_test), -1)
    return Source(flat, y, flat_test, y_test, 10, (1, *x.shape[1:]), 255.0, names)


def read_idx(path: Path, axes: int) -> UInt8[np.ndarray, "..."]:
    """Return the array of unsigned bytes with ``axes`` axes that an idx.gz file holds.

    Raises:
        TurncoatError: if the file is absent, empty, not gzip, damaged, truncated, too long, or holds an
            array of another kind.
    """
    content = _unpacked(path)
    start = 4 + 4 * axes
    if len(content) < start:
        raise TurncoatError(
            f"{path}: holds {len(content)} bytes, less than its header of {start}: it is truncated; {AGAIN}"
        )
    magic, *shape = struct.unpack(f">{axes + 1}I", content[:start])
    wanted = UNSIGNED_BYTE << 8 | axes
    if magic != wanted:
        raise TurncoatError(
            f"{path}: magic number is {magic:#010x}, but {wanted:#010x} is expected ({axes} axes of bytes): "
            "this is another file; put the official one there"
        )
    size = math.prod(shape)
    if not size or len(content) - start != size:
        told = "truncated" if len(content) - start < size else "damaged"
        raise TurncoatError(
            f"{path}: header says shape {tuple(shape)}, {size} bytes, but {len(content) - start} follow: it "
            f"is {told}; {AGAIN}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def _part(folder: Path, part: str) -> tuple[UInt8[np.ndarray, "n h w"], UInt8[np.ndarray, " n"]]:
    x = read_idx(folder / f"{part}-images-idx3-ubyte.gz", axes=3)
    path = folder / f"{part}-labels-idx1-ubyte.gz"
    y = read_idx(path, axes=1)
    if len(x) != len(y):
        raise TurncoatError(f"{path}: {len(y)} labels for {len(x)} images; put the official files there")
    if y.max() > 9:
        raise TurncoatError(f"{path}: label {y.max()} in row {y.argmax()} (counted from 0) is outside 0..9")
    return x, y


def _unpacked(path: Path) -> bytearray:
    """Return the file's content, writable so that torch takes it over without a copy."""
    try:
        packed = path.read_bytes()
        if not packed:
            raise TurncoatError(f"{path}: the file is empty; {AGAIN}")
        return bytearray(gzip.decompress(packed))
    except gzip.BadGzipFile as error:
        raise TurncoatError(f"{path}: not a sound gzip file ({error}); {AGAIN}") from error
    except EOFError as error:
        raise TurncoatError(f"{path}: the gzip file is truncated; {AGAIN}") from error
    except zlib.error as error:
        raise TurncoatError(f"{path}: the gzip file is damaged ({error}); {AGAIN}") from error
    except OSError as error:
        raise TurncoatError(f"{path}: cannot be read ({error.strerror or error})") from error
