"""The tables of a store, their version, and the way to them from the tables of older versions, step by step."""

import dataclasses
import hashlib
import json
import sqlite3
from collections.abc import Mapping

APPLICATION = 0x7475726E  # "turn": SQLite keeps it in the file's header
VERSION = 4  # of the tables below and of what configs mean; it stays when a field with a default is added

CELLS = """
CREATE TABLE cells (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, config TEXT NOT NULL, curves BLOB NOT NULL,
    chance REAL NOT NULL, step_stability REAL, samples BLOB,
    environment INTEGER NOT NULL REFERENCES environments (id), written_at TEXT NOT NULL
);
"""
TABLES = f"""
CREATE TABLE environments (id INTEGER PRIMARY KEY, record TEXT NOT NULL UNIQUE);
{CELLS}
CREATE TABLE checkpoints (stack TEXT PRIMARY KEY, state BLOB NOT NULL, steps INTEGER NOT NULL);
"""


@dataclasses.dataclass(frozen=True)
class Step:
    """From one version to the next.

    ``table`` makes the newer table of cells, ``columns`` has what each of its columns is in terms of the older's;
    both are empty where cells stay as they are. ``rest`` is done to the other tables.
    Nothing here may call what later versions change: a step does the same for ever.
    """

    table: str = ""
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    rest: str = ""

    def select(self, older: str) -> str:
        """The query that reads ``older`` cells as newer ones."""
        columns = ", ".join(f"{expression} AS {name}" for name, expression in self.columns.items())
        return f"SELECT {columns or '*'} FROM {older}"

    def insert(self, older: str) -> str:
        """The statement that puts ``older`` cells into the newer table."""
        return f"INSERT INTO cells ({', '.join(self.columns)}) {self.select(older)}"


# with their defaults as version 0.1.0 had them, when the config of a cell named them all
_DEFAULTS_OF_2 = {
    "dataset": "digits",
    "scale": "unit",
    "label": None,
    "test_share": 0.2,
    "model": "logistic",
    "epochs": 200,
    "batch_size": 64,
    "learning_rate": 0.001,
    "optimizer": "sgd",
    "momentum": 0.0,
    "weight_decay": 0.0,
    "patience": 0,
    "held_out": 0.1,
    "workers": 0,
    "hostile": 0,
    "partition": "iid",
    "local_steps": 1,
    "aggregator": "mean",
    "tolerated": -1,
    "worker_momentum": 0.0,
    "write_access": 0.0,
    "local_budget": 1.0,
    "goal": "untargeted",
    "selection": "optimal",
    "schedule": "epoch",
    "placement": "resampled",
    "knowledge": "omniscient",
    "aware": False,
    "fingerprint": "",
}


def sparse_3(text: str) -> str:
    """A config of version 2 without what is at its default."""
    flat = {
        name: value
        for name, value in json.loads(text).items()
        if name not in _DEFAULTS_OF_2 or value != _DEFAULTS_OF_2[name]
    }
    return json.dumps(flat, sort_keys=True, separators=(",", ":"), allow_nan=False)


def key_3(text: str) -> str:
    """The key of a config of version 3."""
    return hashlib.sha256(text.encode()).hexdigest()


_FUNCTIONS = (sparse_3, key_3)

STEPS = {
    # keys hash what differs from the defaults alone, so that they stay when a field is added
    2: Step(
        CELLS,
        {"key": "key_3(sparse_3(config))", "config": "sparse_3(config)"}
        | {
            name: name
            for name in ("curves", "chance", "step_stability", "samples", "environment", "written_at")
        },
    ),
    # one sweep at a time writes, so nobody takes leases on stacks any more
    3: Step(rest="DROP TABLE leases"),
}
"""What leads on from each older version that can be read."""


def make(connection: sqlite3.Connection) -> None:
    """Make the tables of a new store, within a transaction."""
    _run(connection, TABLES)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def version_of(connection: sqlite3.Connection) -> int:
    """The version of a store's tables."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a store to this version, within a transaction; every cell stays.

    Checkpoints go: no version goes on with what another saved.
    """
    _provide(connection)
    for version in range(version_of(connection), VERSION):
        step = STEPS[version]
        if step.table:
            connection.execute("ALTER TABLE cells RENAME TO former")
            _run(connection, step.table)
            connection.execute(step.insert("former"))
            connection.execute("DROP TABLE former")
        _run(connection, step.rest)
    connection.execute("DELETE FROM checkpoints")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def show_as_current(connection: sqlite3.Connection) -> None:
    """Let this connection see an older store's cells as this version has them; the file stays as it is."""
    _provide(connection)
    cells = "main.cells"
    for version in range(version_of(connection), VERSION):
        cells = f"({STEPS[version].select(cells)})"
    connection.execute(f"CREATE TEMP VIEW cells AS SELECT * FROM {cells}")


def _provide(connection: sqlite3.Connection) -> None:
    for function in _FUNCTIONS:
        connection.create_function(function.__name__, 1, function, deterministic=True)


def _run(connection: sqlite3.Connection, script: str) -> None:
    for statement in script.split(";"):  # executescript would commit
        connection.execute(statement)
