"""Who reads which rows: decided by the features alone, so that labels move nothing."""

import hashlib

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.errors import TurncoatError
from turncoat.randomness import generator


def deal(x: Float[Tensor, "n d"], parts: int) -> list[Int[Tensor, " _"]]:
    """The rows of each part, evenly: different rows in the order of their hashes, one part after the other.

    Equal rows share a hash, hence a part, whatever their labels and wherever they stand: neither labels nor the
    order of the rows move anything. Levine and Feizi 2021 (SS-DPA).

    Raises:
        TurncoatError: if there are fewer different rows than parts.
    """
    digests = _digests(x)
    different, rank = np.unique(digests, return_inverse=True)
    if parts > len(different):
        raise TurncoatError(
            f"partitions is {parts}, but there are only {len(different)} different rows among {len(x)}: give every"
            f" part at least one, so {len(different)} partitions or fewer"
        )
    order = np.argsort(rank, kind="stable")
    part = rank[order] % parts
    by_part = order[np.argsort(part, kind="stable")]
    ends = np.cumsum(np.bincount(part, minlength=parts))
    return [torch.from_numpy(rows) for rows in np.split(by_part, ends[:-1])]


def circulant(parts: int, readers: int, seed: int) -> Int[Tensor, "parts readers"]:
    """Which models read each part: part j is read by models j + s for ``readers`` fixed offsets s, around in a ring.

    So every model reads as many parts as a part has readers, and there are as many models as parts.
    Wang et al. 2022, with offsets drawn at random from ``seed``.

    Raises:
        TurncoatError: if there are fewer models than readers.
    """
    if readers > parts:
        raise TurncoatError(
            f"spread is {readers}, but there are only {parts} parts: give {parts} or fewer, such as spread=2"
        )
    offsets = torch.randperm(parts, generator=generator(seed, "spread"))[:readers]
    return (torch.arange(parts).unsqueeze(1) + offsets) % parts


def _digests(x: Float[Tensor, "n d"]) -> np.ndarray:
    # -0.0 is the same number as 0.0, but other bytes
    rows = (x.numpy(force=True) + 0.0).astype(np.float32, copy=False)
    found = [int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest(), "big") for row in rows]
    return np.array(found, dtype=np.uint64)
