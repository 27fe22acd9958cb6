"""Flower's arrays as the vectors that rules aggregate, and back."""

from collections.abc import Sequence

import numpy as np
import torch
from flwr.app import Array, ArrayRecord
from jaxtyping import Float
from torch import Tensor

from turncoat.errors import TurncoatError, shown


def averaged(like: ArrayRecord) -> list[str]:
    """The names of the arrays that are aggregated: those of floating-point numbers; others only count something."""
    return [name for name, array in like.items() if np.issubdtype(np.dtype(array.dtype), np.floating)]


def check_alike(records: Sequence[ArrayRecord], like: ArrayRecord) -> None:
    """Accept records of the same names and shapes as ``like``.

    Raises:
        TurncoatError: names the first array that differs.
    """
    for record in records:
        if set(record) != set(like):
            odd = sorted(set(record) ^ set(like))[0]
            raise TurncoatError(
                f"a reply and what was sent differ in array {odd!r}: return the arrays that came"
            )
        for name, array in record.items():
            if tuple(array.shape) != tuple(like[name].shape):
                raise TurncoatError(
                    f"array {name!r} of a reply is {tuple(array.shape)}, but {tuple(like[name].shape)} was sent"
                )


def vectors(records: Sequence[ArrayRecord], names: Sequence[str]) -> Float[Tensor, "w p"]:
    """The named arrays of each record as one vector; in double precision if any of them is."""
    wide = any(np.dtype(records[0][name].dtype) == np.float64 for name in names)
    kind = np.float64 if wide else np.float32
    rows = [
        np.concatenate([record[name].numpy().reshape(-1).astype(kind) for name in names])
        for record in records
    ]
    return torch.from_numpy(np.stack(rows))


def rebuilt(vector: Float[Tensor, " p"], records: Sequence[ArrayRecord], names: Sequence[str]) -> ArrayRecord:
    """The record of a vector; arrays that are not in it are the element-wise median of the records'."""
    values = vector.numpy(force=True)
    made: dict[str, Array] = {}
    start = 0
    for name, array in records[0].items():
        old = array.numpy()
        if name in names:
            new = values[start : start + old.size].reshape(old.shape)
            start += old.size
        else:
            new = np.sort(np.stack([record[name].numpy() for record in records]), 0)[len(records) // 2]
        made[name] = Array(np.asarray(new, dtype=old.dtype))
    return ArrayRecord(made)


def head_block(like: ArrayRecord, head: str | None) -> tuple[int, int, int] | None:
    """Where the output layer's (classes, width) array lies in a vector: offset, classes, width.

    Raises:
        TurncoatError: if there is no such array, or it is no matrix.
    """
    if head is None:
        return None
    names = averaged(like)
    if head not in names:
        raise TurncoatError(f"head is {shown(head)}, but the arrays are {', '.join(names)}")
    shape = tuple(like[head].shape)
    if len(shape) != 2:
        raise TurncoatError(
            f"head {head!r} has shape {shape}, but must be the output layer's (classes, width)"
        )
    before = names[: names.index(head)]
    offset = sum(int(np.prod(like[name].shape)) for name in before)
    return offset, int(shape[0]), int(shape[1])
