"""A store as version 0.1.0 wrote it, and what it showed of it: see data/store-0.1.0.toml."""

import gzip
import sqlite3
from pathlib import Path

import pandas as pd

DATA = Path(__file__).parent / "data"
CELLS = 57


def unpacked(folder: Path) -> Path:
    """The store, in this folder."""
    path = folder / "old.db"
    path.write_bytes(gzip.decompress((DATA / "store-0.1.0.db.gz").read_bytes()))
    return path


def shown() -> pd.DataFrame:
    """What `turncoat results --csv` of version 0.1.0 wrote."""
    return pd.read_csv(DATA / "store-0.1.0.csv", keep_default_na=False, na_values=[""])


def raw(path: Path) -> list[tuple[object, ...]]:
    """Everything that a cell holds but its key and config, sorted."""
    with sqlite3.connect(path) as connection:
        found = connection.execute(
            "SELECT curves, chance, step_stability, samples, written_at, record FROM cells"
            " JOIN environments ON environments.id = environment ORDER BY curves, written_at"
        ).fetchall()
    connection.close()
    return found
