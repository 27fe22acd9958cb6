"""Which rows a picture is drawn from: those that ``where`` keeps, all of one setting, each run once."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from turncoat import errors
from turncoat.federation.federation import Federation
from turncoat.fields import descriptions
from turncoat.own_code import split
from turncoat.recipe import Recipe
from turncoat.sweep.cells import short
from turncoat.sweep.frames import say_which_file
from turncoat.threat import Threat
from turncoat.training.task import CURVES

CELL = ("write_access", "local_budget", "goal", "selection")
BLIND = ("goal", "knowledge", "aware")  # mean nothing to random flips
HOW = tuple(name for name in descriptions(Threat) if name not in CELL)
SETTING = ("dataset", "fingerprint", "scale", "model", *descriptions(Recipe))
FEDERATION = tuple(name for name in descriptions(Federation) if name != "hostile")
MEASURED = {*CURVES, "epoch", "seed", "chance", "step_stability"}
RANDOM = "random"


def one_setting(
    curves: pd.DataFrame,
    where: Mapping[str, object] | None,
    metric: str,
    apart: Sequence[str] = (),
) -> pd.DataFrame:
    """The rows that ``where`` keeps, checked to be of one setting but for the columns ``apart``.

    Raises:
        TurncoatError: as ``read``.
    """
    need(curves, [*CELL, "seed", "epoch", metric])
    rows = keep(curves, where).copy()
    rows[metric] = rows[metric].astype(float).where(np.isfinite(rows[metric].astype(float)))
    checked = [c for c in (*SETTING, *FEDERATION) if c in rows and c not in apart]
    differing = {c: _values(rows[c]) for c in checked}
    attacked = rows[rows["write_access"] > 0]
    seeing = attacked[attacked["selection"] != RANDOM]
    how = {c: seeing if c in BLIND else attacked for c in HOW if c in rows and c not in apart}
    differing |= {c: _values(part[c]) for c, part in how.items()}
    if several := {c: values for c, values in differing.items() if len(values) > 1}:
        raise mixed(several)
    if say_which_file(curves):
        rows["dataset"] += " " + rows["fingerprint"].map(short)
    return _one_run_each(rows, apart)


def need(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Check that a frame has rows and columns.

    Raises:
        TurncoatError: says which are missing.
    """
    if frame.empty:
        raise errors.TurncoatError("nothing to draw: the results are empty; run an attack or a sweep first")
    if missing := [c for c in columns if c not in frame]:
        raise errors.TurncoatError(f"cannot draw: the results have no column {', '.join(map(repr, missing))}")


def keep(frame: pd.DataFrame, where: Mapping[str, object] | None, compared: bool = True) -> pd.DataFrame:
    """The rows whose columns have these values (one value or a list each).

    A filter on what the attacker does never removes clean runs, and one on its rule, goal or knowledge keeps
    random flips: both are what the attack is ``compared`` with.

    Raises:
        TurncoatError: for an unknown column, or a value that no row has.
    """
    for column, wanted in (where or {}).items():
        errors.choose(column, map(str, frame.columns), "column")
        match = frame[column].isin(listed(wanted))
        if column == "fingerprint":
            match |= frame[column].map(short).isin(listed(wanted))
        elif column == "model":
            match |= frame[column].map(lambda name: split(name)[0]).isin(listed(wanted))
        if not match.any():
            there = ", ".join(map(repr, _values(frame[column])[:8]))
            raise errors.TurncoatError(f"no results with {column} = {wanted!r} (there are: {there})")
        if compared and column in descriptions(Threat) and "write_access" in frame:
            match |= frame["write_access"] == 0
        if compared and column in ("selection", *BLIND) and "selection" in frame:
            match |= frame["selection"] == RANDOM
        frame = frame[match]
    return frame


class Mixed(errors.TurncoatError):
    """Rows that should not share a picture; ``columns`` has the values in which they differ."""

    def __init__(self, message: str, columns: Mapping[str, Sequence[object]]) -> None:
        super().__init__(message)
        self.columns = columns


def mixed(differing: Mapping[str, Sequence[object]]) -> Mixed:
    """The error for rows that should not share a picture."""
    columns = dict(differing)
    if "fingerprint" in columns:
        columns["fingerprint"] = [short(str(value)) for value in columns["fingerprint"]]
    parts = [f"{name} is {' or '.join(map(repr, values[:6]))}" for name, values in columns.items()]
    example = " ".join(f"--where {name}={values[0]}" for name, values in columns.items())
    return Mixed(
        f"these results mix several settings: {'; '.join(parts)}; choose one with where, on the command line such as"
        f" {example}",
        differing,
    )


def _one_run_each(rows: pd.DataFrame, apart: Sequence[str]) -> pd.DataFrame:
    clean, random = rows["write_access"] == 0, rows["selection"] == RANDOM
    same = [c for c in rows.columns if c in ("seed", "epoch") or c not in MEASURED]
    loose = [c for c in same if c not in descriptions(Threat)]
    parts = [
        rows[clean].drop_duplicates(loose),
        rows[~clean & random].drop_duplicates([c for c in same if c not in BLIND]),
        rows[~clean & ~random].drop_duplicates(),
    ]
    rows = pd.concat([part for part in parts if len(part)])
    key = list(dict.fromkeys([*CELL, "seed", "epoch", *apart]))
    twice = rows[rows.duplicated(key, keep=False)]
    if len(twice):
        others = [c for c in rows.columns if c not in key and c not in MEASURED]
        differing = {c: _values(twice[c]) for c in others if len(_values(twice[c])) > 1}
        if differing:
            raise mixed(differing)
        raise errors.TurncoatError("these results hold more than one run of the same cell and seed")
    return rows


def _values(column: pd.Series) -> list[Any]:
    found: list[Any] = column.dropna().drop_duplicates().tolist()
    return sorted(found, key=lambda v: (str(type(v)), v))


def listed(value: object) -> list[Any]:
    """One value or several, as a list."""
    return list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
