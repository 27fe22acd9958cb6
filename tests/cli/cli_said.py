"""What a command says."""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Said:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str


Turncoat = Callable[..., Said]
