"""From the frame of curves to the runs and numbers that a picture shows."""

import dataclasses
from collections.abc import Mapping, Sequence

import pandas as pd

from turncoat import errors
from turncoat.analysis import pairs
from turncoat.analysis.breakdown import global_budget
from turncoat.analysis.reached import reached
from turncoat.analysis.strongest import strongest_rows
from turncoat.attack.names import STRONGEST
from turncoat.figures import chosen
from turncoat.threat import GOALS

METRICS = {"accuracy": "test accuracy", "macro_f1": "macro F1 on test data", "test_loss": "test loss"}
SHARES = ("accuracy", "macro_f1")  # metrics from 0 to 1, of which more is better
AXES = ["write_access", "local_budget"]


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
        curves = with_strongest(chosen.keep(curves, where))
    rows = chosen.one_setting(curves, where, metric)
    clean, attacked = rows[rows["write_access"] == 0], rows[rows["write_access"] > 0]
    if attacked.empty:
        raise errors.TurncoatError("nothing to draw: there are only clean runs, no attacked ones")
    rules = attacked["selection"].unique().tolist()
    rivals = [rule for rule in rules if rule != chosen.RANDOM] or rules
    if "selection" in (where or {}):
        rivals = [rule for rule in rules if rule in chosen.listed((where or {})["selection"])]
    if len(rivals) > 1:
        raise chosen.mixed({"selection": rivals})
    is_random = attacked["selection"] == chosen.RANDOM
    if rivals == [chosen.RANDOM]:
        return Runs(clean, attacked[is_random], attacked[:0], chosen.RANDOM)
    return Runs(clean, attacked[attacked["selection"] == rivals[0]], attacked[is_random], rivals[0])


def read_each(curves: pd.DataFrame, where: Mapping[str, object] | None, metric: str) -> list[Runs]:
    """As ``read``, once for every rule that ``where`` leaves, in the order in which they stand.

    Raises:
        TurncoatError: as ``read``.
    """
    chosen.need(curves, chosen.CELL)
    if "selection" in (where or {}):
        return [read(curves, where, metric)]
    kept = chosen.keep(curves, where)
    rules = kept[kept["write_access"] > 0]["selection"].unique().tolist()
    rivals = [rule for rule in rules if rule != chosen.RANDOM]
    if len(rivals) < 2:
        return [read(curves, where, metric)]
    return [read(curves, {**(where or {}), "selection": rule}, metric) for rule in rivals]


def joined(each: Sequence[Runs]) -> Runs:
    """Several attacks as the rows behind one picture."""
    attacked = pd.concat([runs.attacked for runs in each])
    return dataclasses.replace(each[0], attacked=attacked, attack=", ".join(runs.attack for runs in each))


def with_strongest(rows: pd.DataFrame) -> pd.DataFrame:
    """Clean runs, random flips, and of all others the strongest of their budget and goal, under one name."""
    chosen.need(rows, [*chosen.CELL, "seed", "epoch"])
    attacked, random = rows["write_access"] > 0, rows["selection"] == chosen.RANDOM
    if not (attacked & ~random).any():
        raise errors.TurncoatError("nothing to draw: there are no attacked runs but random flips, if any")
    best = strongest_rows(rows[attacked & ~random]).assign(selection=STRONGEST)
    return pd.concat([rows[~attacked | random], best], ignore_index=True)


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
