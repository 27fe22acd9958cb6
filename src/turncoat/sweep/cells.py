"""A cell: one run of one model under one threat with one seed, resolved in full, and its key."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import turncoat
from turncoat.errors import TurncoatError
from turncoat.federation.federation import Federation
from turncoat.fields import descriptions
from turncoat.recipe import Recipe
from turncoat.sweep.problem import Problem
from turncoat.threat import CLEAN, Threat
from turncoat.training.idle import IDLE, idle_fields

Config = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Cell:
    """Everything that decides a run; ``fingerprint`` is that of a data file of one's own, else empty."""

    problem: Problem
    recipe: Recipe
    federation: Federation
    threat: Threat
    seed: int
    fingerprint: str = ""

    def with_seed(self, seed: int) -> "Cell":
        """The same run from another seed; ``replace`` looks through all fields, which counts for 100,000 cells."""
        return Cell(self.problem, self.recipe, self.federation, self.threat, seed, self.fingerprint)


PARTS: dict[str, Any] = {f.name: f.type for f in dataclasses.fields(Cell) if dataclasses.is_dataclass(f.type)}
"""The dataclasses of described fields that a cell is made of; their fields are the keys of experiment files."""

NAMES: dict[str, tuple[str, ...]] = {part: tuple(descriptions(cls)) for part, cls in PARTS.items()}
"""The described fields of each part."""

KEYS: dict[str, str] = {name: part for part, names in NAMES.items() for name in names}
"""Every key of an experiment that can be swept, and the part it belongs to."""

HOW: tuple[str, ...] = tuple(descriptions(Threat))
"""The keys that say nothing about a clean cell."""

DEFAULTS: Config = {
    name: f.default for cls in PARTS.values() for name, (f, _) in descriptions(cls).items()
} | {"fingerprint": ""}
"""What a config that says nothing of a column has in it. A key rests on them: to change one takes a migration."""

COLUMNS: tuple[str, ...] = (*dict.fromkeys(("dataset", "fingerprint", *DEFAULTS)), "seed")
"""The columns of a cell's config, in the order in which tables are sorted."""


READ = ("dataset", "scale", "label", "drop", "group", "test_share")
"""The columns that say which file is read, and how: a fingerprint is that of the data as they are learned from."""


def config(cell: Cell) -> Config:
    """The cell as flat columns; a file of one's own goes by its name without the folder."""
    flat = {name: getattr(getattr(cell, part), name) for name, part in KEYS.items()}
    if cell.fingerprint:
        flat["dataset"] = Path(cell.problem.dataset).name
    return flat | {"fingerprint": cell.fingerprint, "seed": cell.seed}


def complete(flat: Config) -> Config:
    """A config as it was written, with the default of every column that it lacks.

    Raises:
        TurncoatError: for a column that is not known here: a newer version wrote it.
    """
    if unknown := [name for name in flat if name not in COLUMNS]:
        raise newer(f"unknown field {', '.join(map(repr, sorted(unknown)))}")
    return DEFAULTS | flat


def newer(what: str) -> TurncoatError:
    """The error for what only a newer version can have written."""
    return TurncoatError(
        f"{what}: a turncoat newer than {turncoat.__version__} wrote this; update with: pip install --upgrade"
        " turncoat"
    )


def from_config(flat: Config) -> Cell:
    """The cell whose ``config`` this is, be it complete or without what is at its default.

    Raises:
        TurncoatError: for a column or a value that is not known here.
    """
    flat = complete(flat)
    try:
        parts = {part: _part(part, *(flat[name] for name in names)) for part, names in NAMES.items()}
    except (
        TurncoatError,
        TypeError,
    ) as error:  # it was valid when it was written; no value now is a list or a table
        raise newer(str(error)) from error
    return Cell(**parts, seed=flat["seed"], fingerprint=flat["fingerprint"])


@functools.lru_cache(maxsize=10_000, typed=True)
def _part(part: str, *values: Any) -> Any:
    """A part with these values; of thousands of cells most share theirs, and each is judged once."""
    return PARTS[part](**dict(zip(NAMES[part], values, strict=True)))


def short(fingerprint: str) -> str:
    """A fingerprint as tables show it, and as ``where`` takes it."""
    return fingerprint[:8]


def share_a_name(rows: Iterable[Mapping[Any, Any]]) -> bool:
    """Whether several files go by one name in these configs; then rows say which is whose."""
    files = {(row["fingerprint"], tuple(str(row[name]) for name in READ)) for row in rows}
    return len({how for _, how in files}) < len(files)


def canonical(flat: Config) -> str:
    """One spelling per config: what differs from its default alone, sorted keys, shortest floats.

    So a column that is added with a default leaves the spelling of every cell as it was.
    """
    own = {name: value for name, value in flat.items() if name not in DEFAULTS or value != DEFAULTS[name]}
    return json.dumps(own, sort_keys=True, separators=(",", ":"), allow_nan=False)


def key(cell: Cell) -> str:
    """SHA-256 of the config: cells of different experiment files that are alike are one cell."""
    return key_of(canonical(config(cell)))


def key_of(text: str) -> str:
    """The key of the cell whose ``canonical`` config this is."""
    return hashlib.sha256(text.encode()).hexdigest()


def clean_twin(cell: Cell) -> Cell:
    """The run of the same setting and seed without an attacker."""
    return dataclasses.replace(cell, threat=CLEAN)


def random_twin(cell: Cell) -> Cell:
    """The run of the same setting and seed whose attacker flips at random, with the same budget."""
    return normalised(dataclasses.replace(cell, threat=dataclasses.replace(cell.threat, selection="random")))


def normalised(cell: Cell) -> Cell:
    """The cell with every field that does nothing at its default, so that equal runs have equal keys."""
    for idle in IDLE:
        if idle.when(cell.threat, cell.recipe, cell.federation):
            cell = with_defaults(cell, idle.fields)
    if cell.federation.workers and not cell.threat.is_clean:
        cell = dataclasses.replace(cell, threat=dataclasses.replace(cell.threat, placement="fixed"))
    return cell


def why_idle(cell: Cell, field: str) -> str:
    """Why a field does nothing in this cell; empty if it does something."""
    return idle_fields(cell.threat, cell.recipe, cell.federation).get(field, "")


def with_defaults(cell: Cell, fields: tuple[str, ...]) -> Cell:
    """The cell with these fields at their defaults."""
    parts = {}
    for part in PARTS:
        own = {name: DEFAULTS[name] for name in fields if KEYS[name] == part}
        if own:
            parts[part] = dataclasses.replace(getattr(cell, part), **own)
    return dataclasses.replace(cell, **parts)
