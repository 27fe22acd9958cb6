"""One SQLite file that holds all that a sweep found out: cells with their curves, and what computed them."""

import dataclasses
import json
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from turncoat.errors import TurncoatError
from turncoat.sweep import frames
from turncoat.sweep.packing import pack, unpack

APPLICATION = 0x7475726E  # "turn": SQLite keeps it in the file's header
VERSION = 2  # of the tables below
BUSY = 60.0  # seconds to wait for another writer
TABLES = """
CREATE TABLE environments (id INTEGER PRIMARY KEY, record TEXT NOT NULL UNIQUE);
CREATE TABLE cells (
    key TEXT PRIMARY KEY, config TEXT NOT NULL, curves BLOB NOT NULL, chance REAL NOT NULL,
    step_stability REAL, samples BLOB, environment INTEGER NOT NULL REFERENCES environments (id),
    written_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE checkpoints (stack TEXT PRIMARY KEY, state BLOB NOT NULL, steps INTEGER NOT NULL);
CREATE TABLE leases (
    stack TEXT PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL, nonce TEXT NOT NULL,
    heartbeat REAL NOT NULL
);
"""


class EmptyStoreError(TurncoatError):
    """A store without its tables: another sweep is just making them, or was killed before it had."""


@dataclasses.dataclass(frozen=True, eq=False)
class Store:
    """An open store; a context manager that closes it."""

    path: Path
    connection: sqlite3.Connection

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write everything inside or nothing of it.

        Raises:
            TurncoatError: if the file cannot be written.
        """
        with telling(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    def keys(self) -> set[str]:
        """The keys of all cells."""
        with telling(self.path):
            return {key for (key,) in self.connection.execute("SELECT key FROM cells")}

    def lengths(self) -> set[int]:
        """The numbers of epochs that its cells were to train."""
        query = "SELECT DISTINCT json_extract(config, '$.epochs') FROM cells"
        with telling(self.path):
            return {epochs for (epochs,) in self.connection.execute(query)}

    def records(self) -> list[frames.Record]:
        """All cells with their curves."""
        return [record for _, record in self.stream()]

    def stream(self, keys: Collection[str] | None = None) -> Iterator[tuple[str, frames.Record]]:
        """Cells one by one with their keys: those of ``keys``, or all."""
        query = "SELECT key, config, curves, chance, step_stability, samples FROM cells"
        with telling(self.path):
            for key, config, curves, chance, stability, samples in self.connection.execute(query):
                if keys is None or key in keys:
                    yield (
                        key,
                        frames.Record(
                            json.loads(config),
                            unpack(curves)["curves"],
                            chance,
                            stability,
                            None if samples is None else unpack(samples)["samples"],
                        ),
                    )

    def origins(self) -> list[dict[str, str | int]]:
        """What computed the cells: versions and kind of machine, how many cells, first and last time of writing."""
        query = (
            "SELECT record, count(*), min(written_at), max(written_at) FROM cells"
            " JOIN environments ON id = environment GROUP BY record ORDER BY min(written_at)"
        )
        with telling(self.path):
            return [
                json.loads(record) | {"cells": count, "first": first, "last": last}
                for record, count, first, last in self.connection.execute(query)
            ]

    def curves(self) -> pd.DataFrame:
        """One row per cell, seed and epoch: all of the config, the curves, ``step_stability`` and ``chance``."""
        return frames.curves(self.records())

    def summary(self) -> pd.DataFrame:
        """One row per cell without its seed: all of the config and the statistics over seeds."""
        return frames.summary(self.records())

    def visibility(self) -> pd.DataFrame:
        """One row per federation's cell, seed, look and worker: all of the config, and what detection looks at."""
        return frames.visibility(self.records())


def add(
    connection: sqlite3.Connection,
    rows: Iterable[tuple[str, frames.Record]],
    environment: dict[str, str | int],
) -> None:
    """Put cells in, within a transaction; a cell that is there already stays as it is."""
    record = json.dumps(environment, sort_keys=True)
    connection.execute("INSERT OR IGNORE INTO environments (record) VALUES (?)", (record,))
    (number,) = connection.execute("SELECT id FROM environments WHERE record = ?", (record,)).fetchone()
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    connection.executemany(
        "INSERT OR IGNORE INTO cells VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                key,
                json.dumps(row.config, sort_keys=True),
                pack({"curves": row.curves}),
                row.chance,
                row.step_stability,
                None if row.samples is None else pack({"samples": row.samples.astype("float32")}),
                number,
                now,
            )
            for key, row in rows
        ],
    )


def open_store(path: str | Path, create: bool = False) -> Store:
    """Open a store; with ``create`` one that is absent is made.

    Raises:
        TurncoatError: if it is absent, no store of ours, written by another version, or not to be opened.
    """
    file = Path(path)
    refuse_folder(file)
    if not create and not file.exists():
        raise TurncoatError(f"{file}: there is no such store; make one with: turncoat sweep --store {file}")
    with telling(file):
        connection = _connect(file, create)
        try:
            _check(connection, file, create)
        except BaseException:
            connection.close()
            raise
    return Store(file, connection)


def known_keys(path: Path) -> set[str]:
    """The keys of all cells in the store at ``path``; none while it is absent or empty.

    Raises:
        TurncoatError: if no store can be there, or it cannot be read.
    """
    refuse_folder(path)
    if not path.exists() or not path.stat().st_size:
        return set()
    try:
        with open_store(path) as store:
            return store.keys()
    except EmptyStoreError:
        return set()


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
        elif "locked" in reason:
            reason += f" by another program for {BUSY:.0f} seconds; try again when it is done"
        elif "readonly" in reason or "unable to open" in reason:
            reason += "; is it yours to write? name another --store"
        raise TurncoatError(f"{path}: {reason}") from error


def _connect(file: Path, create: bool) -> sqlite3.Connection:
    if create:
        connection = sqlite3.connect(file, timeout=BUSY, isolation_level=None)
    else:
        connection = sqlite3.connect(_uri(file, "ro"), timeout=BUSY, isolation_level=None, uri=True)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.OperationalError:
            # in a folder that cannot be written SQLite cannot share the file, only read it as it stands
            connection.close()
            connection = sqlite3.connect(
                _uri(file, "ro") + "&immutable=1", timeout=BUSY, isolation_level=None, uri=True
            )
    connection.execute("PRAGMA synchronous = FULL")  # a power cut loses nothing that was committed
    return connection


def _uri(file: Path, mode: str) -> str:
    return f"{file.resolve().as_uri()}?mode={mode}"


def _check(connection: sqlite3.Connection, file: Path, create: bool) -> None:
    """Make sure that the file is ours, and make the tables where it is new."""
    if create and _is_empty(connection):
        connection.execute("PRAGMA auto_vacuum = FULL")  # checkpoints come and go
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        if _is_empty(connection):  # another sweep may just have made them
            for statement in TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION:
        if not create and _is_empty(connection):
            raise EmptyStoreError(f"{file}: the store is empty; fill it with: turncoat sweep --store {file}")
        raise TurncoatError(f"{file} is not a turncoat store; name another --store")
    if version != VERSION:
        raise TurncoatError(
            f"{file} is a store of version {version}, but this turncoat reads version {VERSION}; "
            "use the turncoat that wrote it, or name another --store"
        )


def _is_empty(connection: sqlite3.Connection) -> bool:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return bool(tables == 0)
