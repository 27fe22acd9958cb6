"""From the frame of curves to the runs and numbers that a picture shows."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from turncoat import errors
from turncoat.analysis import pairs
from turncoat.analysis.breakdown import global_budget
from turncoat.analysis.reached import reached
from turncoat.analysis.strongest import strongest_rows
from turncoat.attack.names import STRONGEST
from turncoat.federation.federation import Federation
from turncoat.fields import descriptions
from turncoat.own_code import split
from turncoat.recipe import Recipe
from turncoat.sweep.cells import short
from turncoat.sweep.frames import say_which_file
from turncoat.threat import GOALS, Threat
from turncoat.training.task import CURVES

METRICS = {"accuracy": "test accuracy", "macro_f1": "macro F1 on test data", "test_loss": "test loss"}
SHARES = ("accuracy", "macro_f1")  # metrics from 0 to 1, of which more is better
CELL = ("write_access", "local_budget", "goal", "selection")
AXES = ["write_access", "local_budget"]
BLIND = ("goal", "knowledge", "aware")  # mean nothing to random flips
HOW = tuple(name for name in descriptions(Threat) if name not in CELL)
SETTING = ("dataset", "fingerprint", "scale", "model", *descriptions(Recipe))
FEDERATION = tuple(name for name in descriptions(Federation) if name != "hostile")
MEASURED = {*CURVES, "epoch", "seed", "chance", "step_stability"}
RANDOM = "random"


@dataclasses.dataclass(frozen=True, eq=False)
class Runs:
    """The rows behind a picture: clean runs, one attack, and random flips at the same budget."""

    clean: pd.DataFrame
    attacked: pd.DataFrame
    random: pd.DataFrame  # empty if the data have none, or if random flips are the attack itself
    attack: str

    @property
    def goals(self) -> list[str]:
        """The attack's goals, in their usual order."""
        return [goal for goal in GOALS if (self.attacked["goal"] == goal).any()]

    def of(self, goal: str) -> pd.DataFrame:
        """The attack's rows with this goal."""
        return self.attacked[self.attacked["goal"] == goal]

    @property
    def rows(self) -> pd.DataFrame:
        """All rows together."""
        return pd.concat([part for part in (self.clean, self.attacked, self.random) if len(part)])

    def value(self, column: str) -> float | None:
        """A number that all rows share, such as ``chance``, if the frame has it."""
        if column not in self.attacked or self.attacked[column].isna().all():
            return None
        return float(self.attacked[column].dropna().iloc[0])


def read(curves: pd.DataFrame, where: Mapping[str, object] | None, metric: str) -> Runs:
    """The rows to draw, of one setting and one attack; random flips and clean runs always stay.

    With selection "strongest" it is each budget's and goal's strongest rule.

    Raises:
        TurncoatError: for an empty frame, missing columns, an unknown filter, or rows that mix settings.
    """
    if (where or {}).get("selection") == STRONGEST:
        where = {name: value for name, value in (where or {}).items() if name != "selection"}
        curves = with_strongest(keep(curves, where))
    rows = one_setting(curves, where, metric)
    clean, attacked = rows[rows["write_access"] == 0], rows[rows["write_access"] > 0]
    if attacked.empty:
        raise errors.TurncoatError("nothing to draw: there are only clean runs, no attacked ones")
    rules = attacked["selection"].unique().tolist()
    rivals = [rule for rule in rules if rule != RANDOM] or rules
    if "selection" in (where or {}):
        rivals = [rule for rule in rules if rule in _listed((where or {})["selection"])]
    if len(rivals) > 1:
        raise mixed({"selection": rivals})
    is_random = attacked["selection"] == RANDOM
    if rivals == [RANDOM]:
        return Runs(clean, attacked[is_random], attacked[:0], RANDOM)
    return Runs(clean, attacked[attacked["selection"] == rivals[0]], attacked[is_random], rivals[0])


def read_each(curves: pd.DataFrame, where: Mapping[str, object] | None, metric: str) -> list[Runs]:
    """As ``read``, once for every rule that ``where`` leaves, in the order in which they stand.

    Raises:
        TurncoatError: as ``read``.
    """
    need(curves, CELL)
    if "selection" in (where or {}):
        return [read(curves, where, metric)]
    kept = keep(curves, where)
    rules = kept[kept["write_access"] > 0]["selection"].unique().tolist()
    rivals = [rule for rule in rules if rule != RANDOM]
    if len(rivals) < 2:
        return [read(curves, where, metric)]
    return [read(curves, {**(where or {}), "selection": rule}, metric) for rule in rivals]


def joined(each: Sequence[Runs]) -> Runs:
    """Several attacks as the rows behind one picture."""
    attacked = pd.concat([runs.attacked for runs in each])
    return dataclasses.replace(each[0], attacked=attacked, attack=", ".join(runs.attack for runs in each))


def with_strongest(rows: pd.DataFrame) -> pd.DataFrame:
    """Clean runs, random flips, and of all others the strongest of their budget and goal, under one name."""
    need(rows, [*CELL, "seed", "epoch"])
    attacked, random = rows["write_access"] > 0, rows["selection"] == RANDOM
    if not (attacked & ~random).any():
        raise errors.TurncoatError("nothing to draw: there are no attacked runs but random flips, if any")
    best = strongest_rows(rows[attacked & ~random]).assign(selection=STRONGEST)
    return pd.concat([rows[~attacked | random], best], ignore_index=True)


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
        match = frame[column].isin(_listed(wanted))
        if column == "fingerprint":
            match |= frame[column].map(short).isin(_listed(wanted))
        elif column == "model":
            match |= frame[column].map(lambda name: split(name)[0]).isin(_listed(wanted))
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


def per_seed(rows: pd.DataFrame, metric: str, statistic: str, by: Sequence[str] = AXES) -> pd.DataFrame:
    """One row per cell and seed: ``by``, ``seed`` and ``value``, the tail mean or the last epoch."""
    groups = rows.sort_values("epoch").groupby([*by, "seed"])[metric]
    found = [(*key, reached(curve.to_numpy(dtype=float), statistic)) for key, curve in groups]
    return pd.DataFrame(found, columns=[*by, "seed", "value"])


def over_seeds(values: pd.DataFrame, by: Sequence[str] = AXES) -> pd.DataFrame:
    """One row per cell, as ``pairs.over_seeds``, and the global budget where k and b are known."""
    table = pairs.over_seeds(values, by)
    if set(AXES) <= set(by):
        table["global_budget"] = global_budget(table)
    return table


def clean_value(runs: Runs, metric: str, statistic: str, column: str = "mean") -> float | None:
    """A statistic over seeds of the clean runs, if there are any."""
    if runs.clean.empty:
        return None
    values = per_seed(runs.clean, metric, statistic, ["write_access"])
    return float(over_seeds(values, ["write_access"])[column].iloc[0])


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


def _listed(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
