"""Who works on a store with an older version, which took leases on stacks, and whether it is still at it."""

import dataclasses
import os
import secrets
import socket
import time
from pathlib import Path

TIMEOUT = 300.0  # seconds without a heartbeat after which a lease is anybody's


@dataclasses.dataclass(frozen=True)
class Owner:
    """One running sweep."""

    host: str
    pid: int
    nonce: str


def owner() -> Owner:
    """This process, told apart from an earlier one with the same number."""
    return Owner(socket.gethostname(), os.getpid(), secrets.token_hex(8))


def is_dead(holder: Owner, heartbeat: float, host: str) -> bool:
    """Whether the holder of a lease has ended, as far as that can be told from ``host``."""
    if time.time() - heartbeat > TIMEOUT:
        return True
    return holder.host == host and not is_running(holder.pid)


def is_running(pid: int) -> bool:
    """Whether a process of this machine runs; where that can't be known, True."""
    if os.name != "posix":
        return True  # there, signal 0 is no question but an order
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    try:  # one that was killed but not yet waited for still answers
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    except OSError:
        return True
    return state.split()[:1] != ["Z"]
