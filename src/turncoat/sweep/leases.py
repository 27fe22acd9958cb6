"""Who trains which stack: leases with a heartbeat, and checkpoints from which a stack goes on."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from turncoat.errors import TurncoatError
from turncoat.sweep.frames import Record
from turncoat.sweep.owners import Owner, is_dead
from turncoat.sweep.packing import Arrays, pack, unpack
from turncoat.sweep.store import Store, add, open_store

BEAT = 30.0  # seconds between heartbeats


def take(store: Store, stack: str, who: Owner) -> bool:
    """Take a stack to train; False while another sweep that is alive has it."""
    with store.transaction() as connection:
        held = _holder(connection, stack)
        if held is not None and held[0] != who and not is_dead(*held, who.host):
            return False
        connection.execute(
            "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?)",
            (stack, who.host, who.pid, who.nonce, time.time()),
        )
        return True


@contextmanager
def beating(path: Path, stack: str, who: Owner) -> Iterator[None]:
    """While inside, a thread keeps a lease alive: an attacker's turn may last longer than any timeout."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT):
            # a connection belongs to one thread; a beat that fails is made up for by the next
            with (
                suppress(sqlite3.Error, TurncoatError),
                open_store(path, create=True) as store,  # without, it could only be read
                store.transaction() as own,
            ):
                own.execute(
                    "UPDATE leases SET heartbeat = ? WHERE stack = ? AND nonce = ?",
                    (time.time(), stack, who.nonce),
                )

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def release(store: Store, stack: str, who: Owner) -> None:
    """Give a stack back, if it is still ours."""
    with store.transaction() as connection:
        _forget(connection, stack, who)


def checkpoint(store: Store, stack: str) -> tuple[Arrays, int] | None:
    """The state a stack was last saved in and the steps it had taken, if it ever was."""
    row = store.connection.execute(
        "SELECT state, steps FROM checkpoints WHERE stack = ?", (stack,)
    ).fetchone()
    return None if row is None else (unpack(row[0]), row[1])


def save(store: Store, stack: str, who: Owner, state: Arrays, steps: int) -> bool:
    """Write a checkpoint and a heartbeat; False, and nothing written, if another sweep has taken over."""
    data = pack(state)
    with store.transaction() as connection:
        held = _holder(connection, stack)
        if held is None or held[0] != who:
            return False
        connection.execute("UPDATE leases SET heartbeat = ? WHERE stack = ?", (time.time(), stack))
        connection.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?)", (stack, data, steps))
        return True


def finish(
    store: Store,
    stack: str,
    who: Owner,
    rows: list[tuple[str, Record]],
    environment: dict[str, str | int],
) -> None:
    """Write a stack's rows and drop its checkpoint and lease, all at once."""
    with store.transaction() as connection:
        add(connection, rows, environment)
        connection.execute("DELETE FROM checkpoints WHERE stack = ?", (stack,))
        _forget(connection, stack, who)


def _holder(connection: sqlite3.Connection, stack: str) -> tuple[Owner, float] | None:
    row = connection.execute(
        "SELECT host, pid, nonce, heartbeat FROM leases WHERE stack = ?", (stack,)
    ).fetchone()
    return None if row is None else (Owner(*row[:3]), row[3])


def _forget(connection: sqlite3.Connection, stack: str, who: Owner) -> None:
    connection.execute("DELETE FROM leases WHERE stack = ? AND nonce = ?", (stack, who.nonce))
