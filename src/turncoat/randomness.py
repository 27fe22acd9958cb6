"""Seeds to generators: every draw is a pure function of the seed, its purpose and its round.

Nothing keeps a generator's state, so a run that was cut off draws the same numbers when it goes on, and
replicas that share a seed share their batch order and the order from which write access is cut.
"""

import hashlib

import torch


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator that depends on ``seed`` and ``purpose`` alone; every device draws the same from it."""
    text = "/".join(str(part) for part in (seed, *purpose))
    digest = hashlib.sha256(text.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
