"""One sweep at a time writes to a store; the next one waits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from turncoat.errors import TurncoatError

PATIENCE = 0.2  # seconds between two looks at whether the other has ended


@contextmanager
def alone(store: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """While inside, no other sweep is; if there is one, say so and wait for its end.

    The operating system holds the lock, and lets it go when its holder ends, in whatever way.

    Raises:
        TurncoatError: if no lock can be had at this place.
    """
    store = store.resolve()
    beside = store.with_name(f"{store.name}.lock")
    lock = FileLock(beside)
    try:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            tell(f"{store.name}: another sweep is writing to this store; waiting for its end")
            lock.acquire(poll_interval=PATIENCE)
    except OSError as error:
        raise TurncoatError(
            f"{beside}: {error.strerror or error}; is it yours to write? name another --store"
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)  # whoever waits sees that what it locked is gone, and looks again
        lock.release()
