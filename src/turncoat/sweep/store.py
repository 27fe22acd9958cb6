"""One SQLite file that holds all that a sweep found out: cells with their curves, and what computed them."""

import dataclasses
import json
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from turncoat.errors import TurncoatError
from turncoat.federation.visibility import SIGNS
from turncoat.sweep import frames
from turncoat.sweep.cells import DEFAULTS, canonical, complete, newer
from turncoat.sweep.opening import (
    EmptyStoreError,
    all_at_once,
    connected,
    refuse_absent,
    refuse_folder,
    telling,
)
from turncoat.sweep.packing import pack, unpack
from turncoat.training.task import CURVES, IN_TRAINING


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
        with telling(self.path), all_at_once(self.connection):
            yield self.connection

    def keys(self) -> set[str]:
        """The keys of all cells."""
        with telling(self.path):
            return {key for (key,) in self.connection.execute("SELECT key FROM cells")}

    def lengths(self) -> set[int]:
        """The numbers of epochs that its cells were to train."""
        query = "SELECT DISTINCT coalesce(json_extract(config, '$.epochs'), ?) FROM cells"
        with telling(self.path):
            return {epochs for (epochs,) in self.connection.execute(query, (DEFAULTS["epochs"],))}

    def records(self) -> list[frames.Record]:
        """All cells with their curves."""
        return [record for _, record in self.stream()]

    def stream(self, keys: Collection[str] | None = None) -> Iterator[tuple[str, frames.Record]]:
        """Cells one by one with their keys: those of ``keys``, or all.

        Raises:
            TurncoatError: for a cell with something in its config that a newer version wrote.
        """
        query = "SELECT key, config, curves, chance, step_stability, samples FROM cells"
        with telling(self.path):
            for key, *row in self.connection.execute(query):
                if keys is None or key in keys:
                    try:
                        record = _record(*row)
                    except TurncoatError as error:
                        raise TurncoatError(f"{self.path}: {error}") from error
                    yield key, record

    def origins(self) -> list[dict[str, str | int]]:
        """What computed the cells: versions and kind of machine, how many cells, first and last time of writing."""
        query = (
            "SELECT record, count(*), min(written_at), max(written_at) FROM cells"
            " JOIN environments ON environments.id = environment GROUP BY record ORDER BY min(written_at)"
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


def _record(
    config: str, curves: bytes, chance: float, stability: float | None, samples: bytes | None
) -> frames.Record:
    return frames.Record(
        complete(json.loads(config)),
        _widened(unpack(curves)["curves"], CURVES),
        chance,
        stability,
        None if samples is None else _widened(unpack(samples)["samples"], SIGNS),
    )


def _widened(values: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """With NaN for the last names where these were added since the values were written."""
    missing = len(names) - values.shape[-1]
    if missing < 0:
        raise newer(f"{-missing} columns beyond {names[-1]!r}")
    room = [(0, 0)] * (values.ndim - 1) + [(0, missing)]
    return np.pad(values, room, constant_values=np.nan) if missing else values


def _trimmed(curves: np.ndarray) -> np.ndarray:
    """Without what is measured of models alone that act differently while they train, where it is not there."""
    first = IN_TRAINING.start
    return curves[:, :first] if curves.shape[1] > first and np.isnan(curves[:, first:]).all() else curves


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
        "INSERT OR IGNORE INTO cells (key, config, curves, chance, step_stability, samples, environment,"
        " written_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                key,
                canonical(row.config),
                pack({"curves": _trimmed(row.curves)}),
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
    """Open a store; with ``create`` to write, one that is absent made and one of an older version brought to this.

    Raises:
        TurncoatError: if it is absent, no store of ours, of a version that can't be read, or not to be opened.
    """
    file = Path(path)
    if create:
        refuse_folder(file)
    else:
        refuse_absent(file)
    with telling(file):
        return Store(file, connected(file, create))


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
