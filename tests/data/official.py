"""Tiny files in the official formats, written by the tests."""

import gzip
import struct
from pathlib import Path

import numpy as np

CIFAR_10 = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]


def idx_bytes(values: np.ndarray, magic: int | None = None) -> bytes:
    values = values.astype(np.uint8)
    magic = 0x0800 | values.ndim if magic is None else magic
    return struct.pack(f">{values.ndim + 1}I", magic, *values.shape) + values.tobytes()


def write_idx(path: Path, values: np.ndarray, magic: int | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(idx_bytes(values, magic)))


def write_mnist(folder: Path, n: int = 40, m: int = 20) -> dict[str, np.ndarray]:
    """Write the four files; return what they hold."""
    rng = np.random.default_rng(0)
    parts = {}
    for name, size in (("train", n), ("t10k", m)):
        x, y = rng.integers(0, 256, (size, 4, 3), dtype=np.uint8), np.arange(size) % 10
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", x)
        write_idx(folder / f"{name}-labels-idx1-ubyte.gz", y)
        parts |= {f"{name}_x": x, f"{name}_y": y}
    return parts


def write_cifar(path: Path, n: int, tops: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Write n records with one label byte for each of ``tops``; return pixels and all label bytes."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (n, 3072), dtype=np.uint8)
    marks = np.stack([rng.integers(0, top, n) for top in tops], axis=1).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(np.concatenate([marks, pixels], axis=1).tobytes())
    return pixels, marks
