"""Open a store's file: to write, with its tables made or brought to this version first, or to read alone."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import turncoat
from turncoat.errors import TurncoatError
from turncoat.sweep import layout
from turncoat.sweep.owners import Owner, is_dead, owner

BUSY = 60.0  # seconds to wait for another writer


class EmptyStoreError(TurncoatError):
    """A store without its tables: another sweep is just making them, or was killed before it had."""


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Tell what SQLite has against the file in one line."""
    try:
        yield
    except sqlite3.Error as error:
        reason = str(error)
        if "not a database" in reason:
            raise TurncoatError(f"{path} is not a turncoat store; name another --store") from error
        if "full" in reason or "disk I/O" in reason:
            reason += "; make room, then run the same command again: what was written is safe"
        elif "malformed" in reason:
            reason += ": was it copied only in part? copy it again, or name another --store"
        elif "locked" in reason:
            reason += f" by another program for {BUSY:.0f} seconds; try again when it is done"
        elif "readonly" in reason or "unable to open" in reason:
            reason += "; is it yours to write? name another --store"
        raise TurncoatError(f"{path}: {reason}") from error


def refuse_folder(file: Path) -> None:
    """Refuse a path at which no store can be.

    Raises:
        TurncoatError: if its folder is absent, or it is a folder itself.
    """
    if not file.parent.is_dir():
        raise TurncoatError(
            f"{file}: there is no folder {file.parent}; make it first, or name another --store"
        )
    if file.is_dir():
        raise TurncoatError(f"{file} is a folder, but a store is a file, such as {file / 'turncoat.db'}")


def refuse_absent(file: Path) -> None:
    """Refuse to read a store that is not there.

    Raises:
        TurncoatError: says how to make it.
    """
    refuse_folder(file)
    if not file.exists():
        raise TurncoatError(f"{file}: there is no such store; make one with: turncoat sweep --store {file}")


def refuse_unreadable(path: str) -> None:
    """Refuse what cannot be read as a store, before anything is imported that makes tables of it.

    Raises:
        TurncoatError: as ``connected``, or if it is not there.
    """
    file = Path(path)
    refuse_absent(file)
    with telling(file):
        connected(file, create=False).close()


def connected(file: Path, create: bool) -> sqlite3.Connection:
    """A connection to the store at ``file``: to write, with ``create``, or to read.

    A reader sees the cells of an older store as this version has them, and leaves the file as it is.

    Raises:
        TurncoatError: if it is no store of ours, of a version that can't be read, or at work in an older version.
    """
    connection = _to_write(file) if create else _to_read(file)
    try:
        connection.execute("PRAGMA synchronous = FULL")  # a power cut loses nothing that was committed
        if create:
            _make_or_migrate(connection, file)
        else:
            _refuse_others(connection, file)
            if layout.version_of(connection) != layout.VERSION:
                layout.show_as_current(connection)
            connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _to_write(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(file, timeout=BUSY, isolation_level=None)


def _to_read(file: Path) -> sqlite3.Connection:
    """A connection that leaves no file behind.

    SQLite shares a store by means of two files beside it. Whoever may write deletes them at the end; whoever may not
    makes none where none are.
    """
    file = file.resolve()
    if os.access(file, os.W_OK) and os.access(file.parent, os.W_OK):
        return _by_uri(file, "mode=rw")
    last = file.with_name(f"{file.name}-wal")
    if last.exists():
        shared = _by_uri(file, "mode=ro")
        try:
            shared.execute("SELECT count(*) FROM sqlite_master")
            return shared
        except sqlite3.OperationalError as error:
            shared.close()
            if last.stat().st_size:
                raise TurncoatError(
                    f"{file}: what was written last lies in {last.name}, which can't be read in a folder that can't be"
                    " written: copy both to another folder, and read them there"
                ) from error
    return _by_uri(file, "mode=ro&immutable=1")


def _by_uri(file: Path, options: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.as_uri()}?{options}", timeout=BUSY, isolation_level=None, uri=True)


def _make_or_migrate(connection: sqlite3.Connection, file: Path) -> None:
    """Make the tables where the file is new, and bring those of an older version to this one, whole or not at all."""
    if _is_empty(connection):
        connection.execute("PRAGMA auto_vacuum = FULL")  # checkpoints come and go
        connection.execute("PRAGMA journal_mode = WAL")
        with all_at_once(connection):
            if _is_empty(connection):  # another sweep may just have made them
                layout.make(connection)
    _refuse_others(connection, file)
    if layout.version_of(connection) != layout.VERSION:
        with all_at_once(connection):
            if layout.version_of(connection) != layout.VERSION:  # another sweep may just have done it
                _refuse_company(connection, file)
                layout.migrate(connection)


@contextmanager
def all_at_once(connection: sqlite3.Connection) -> Iterator[None]:
    """Write everything inside or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _refuse_others(connection: sqlite3.Connection, file: Path) -> None:
    """Refuse what is not ours, and versions that can't be read."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != layout.APPLICATION:
        if _is_empty(connection):
            raise EmptyStoreError(f"{file}: the store is empty; fill it with: turncoat sweep --store {file}")
        raise TurncoatError(f"{file} is not a turncoat store; name another --store")
    version = layout.version_of(connection)
    if version > layout.VERSION:
        raise TurncoatError(
            f"{file} is a store of version {version}, but turncoat {turncoat.__version__} reads versions up to"
            f" {layout.VERSION}; update it with: pip install --upgrade turncoat, or name another --store"
        )
    if version != layout.VERSION and version not in layout.STEPS:
        raise TurncoatError(
            f"{file} is a store of version {version}, older than any release ({min(layout.STEPS)} is the first that"
            " can be read); name another --store"
        )


def _refuse_company(connection: sqlite3.Connection, file: Path) -> None:
    """An older version that is at work would write what the newer no longer understands."""
    here = owner().host
    for *who, heartbeat in connection.execute("SELECT host, pid, nonce, heartbeat FROM leases"):
        holder = Owner(*who)
        if not is_dead(holder, heartbeat, here):
            raise TurncoatError(
                f"{file} is of an older version, which process {holder.pid} on {holder.host} is still at work with:"
                " wait until it ends, or end it, then type the same command again"
            )


def _is_empty(connection: sqlite3.Connection) -> bool:
    (tables,) = connection.execute("SELECT count(*) FROM main.sqlite_master").fetchone()
    return bool(tables == 0)
