"""The numbers behind pictures and claims, from a store: one row per run, and curves averaged over seeds."""

import dataclasses
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from turncoat.analysis.estimate import spread, student
from turncoat.analysis.pairs import minus
from turncoat.analysis.reached import STATISTICS, reached
from turncoat.federation.visibility import summarise
from turncoat.fields import descriptions
from turncoat.sweep.cells import COLUMNS, Cell, Config, clean_twin, config, from_config, key
from turncoat.sweep.frames import Record
from turncoat.sweep.store import open_store
from turncoat.threat import Threat
from turncoat.training.task import CURVES

MEASURES = ("accuracy", "macro_f1")
SIGNS = ("norm_ratio", "example_norm_ratio", "auc_norm", "auc_cosine")
MEASURED = (
    "chance",
    "step_stability",
    "lasted",
    *(f"{measure}.{statistic}" for measure, statistic in itertools.product(MEASURES, STATISTICS)),
    "flips",
    *SIGNS,
)
FIGURES = ("mean", "std", "seeds")  # of curves; the ends of intervals follow from them
ENDS = ("low", "high")
LONG = (*COLUMNS, "chance", "step_stability", "epoch", *FIGURES)
SETTING = tuple(name for name in COLUMNS if name not in descriptions(Threat))


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """What was measured.

    ``points`` has one row per cell: its config, ``MEASURED``, its ``key``, and what the clean run of the same setting
    and seed reached (``clean.tail``, ``clean.last``). ``curves`` has one row per epoch of cells that differ in their
    seed alone: statistics over seeds of the test accuracy. ``origins`` says what computed them, and when.
    """

    points: pd.DataFrame
    curves: pd.DataFrame
    origins: list[dict[str, Any]]

    def of(self, cells: Iterable[Cell]) -> "Evidence":
        """The part that belongs to these cells."""
        cells = list(cells)
        keys = {key(cell) for cell in cells}
        groups = {key(cell) for cell in {cell.with_seed(0) for cell in cells}}
        points = self.points[self.points["key"].isin(keys)]
        return Evidence(points, self.curves[self.curves["key"].isin(groups)], self.origins)


def group_of(cell: Cell) -> str:
    """The key that cells share which differ in their seed alone."""
    return key(cell.with_seed(0))


def from_store(path: str | Path, wanted: Iterable[Cell], with_curves: Iterable[Cell] = ()) -> Evidence:
    """What a store knows of these cells; curves only of some, for they are long.

    Raises:
        TurncoatError: if the store cannot be read.
    """
    keys = {key(cell): cell for cell in wanted}
    long = {key(cell) for cell in with_curves}
    rows: list[dict[str, Any]] = []
    runs: dict[str, list[Record]] = {}
    with open_store(path) as store:
        for name, record in store.stream(keys):
            rows.append(point(record))
            if name in long:
                runs.setdefault(group_of(keys[name]), []).append(record)
        origins = store.origins()
    return Evidence(table(rows), averaged(runs.values()), origins)


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """``points`` of these rows: their keys, and the clean runs of their seeds beside them."""
    points = rounded(pd.DataFrame(rows, columns=[*COLUMNS, *MEASURED]), MEASURED)
    cells = [cell_of(flat) for flat in points.to_dict("records")]
    points["key"] = pd.Series([key(cell) for cell in cells], dtype=object)
    settings: dict[Any, str] = {}
    twins = []
    for cell in cells:
        setting = (cell.problem, cell.recipe, cell.federation, cell.seed, cell.fingerprint)
        if setting not in settings:
            settings[setting] = key(clean_twin(cell))
        twins.append(settings[setting])
    clean = points[points["write_access"] == 0].set_index("key")
    for statistic in STATISTICS:
        values = pd.Series(twins, index=points.index, dtype=object).map(clean[f"accuracy.{statistic}"])
        points[f"clean.{statistic}"] = values.astype(float)
    return points


def harms(points: pd.DataFrame, statistic: str) -> pd.Series:
    """Accuracy of the clean run of the same seed minus that of each run, where both are known."""
    return minus(points[f"clean.{statistic}"], points[f"accuracy.{statistic}"])


def rounded(frame: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """With measures to the digits of float32, as extracts keep them: so both give the same pictures."""
    return frame.assign(**{name: frame[name].astype("float32").astype(float) for name in names})


def cell_of(flat: dict[Any, Any]) -> Cell:
    """The cell of a row, in which what is absent may have become NaN."""
    absent = {name: None for name in ("label", "drop", "group") if flat.get(name) != flat.get(name)}
    return from_config({str(name): value for name, value in flat.items() if name in COLUMNS} | absent)


def point(record: Record) -> dict[str, Any]:
    """A cell as one row."""
    row: dict[str, Any] = dict(record.config)
    row |= {"chance": record.chance, "step_stability": record.step_stability, "lasted": len(record.curves)}
    for measure in MEASURES:
        curve = record.curves[:, CURVES.index(measure)]
        row |= {f"{measure}.{statistic}": reached(curve, statistic) for statistic in STATISTICS}
    row["flips"] = float(np.nanmean(record.curves[:, CURVES.index("flips")]))
    if record.samples is not None:
        seen = summarise(record.samples, record.config["hostile"])
        row |= {sign: seen.get(sign, np.nan) for sign in SIGNS}
    return row


def averaged(runs: Iterable[list[Record]]) -> pd.DataFrame:
    """``curves`` of runs, grouped by those that differ in their seed alone; one that stopped keeps its last value."""
    parts = [_over_seeds(alike) for alike in runs]
    found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*LONG, "key"])
    return with_intervals(found)


def with_intervals(curves: pd.DataFrame) -> pd.DataFrame:
    """``curves`` with the ends of their intervals."""
    mean, std, seeds = (curves[name].to_numpy(dtype=float) for name in FIGURES)
    low, high = student(mean, std, seeds.astype(int))
    return curves.assign(low=low, high=high)


def _over_seeds(alike: list[Record]) -> pd.DataFrame:
    first = alike[0]
    longest = max(len(record.curves) for record in alike)
    column = CURVES.index("accuracy")
    values = np.stack([np.pad(r.curves[:, column], (0, longest - len(r.curves)), mode="edge") for r in alike])
    cell = cell_of(first.config).with_seed(0)
    flat: Config = config(cell) | {"chance": first.chance, "step_stability": first.step_stability}
    found = pd.DataFrame({"epoch": np.arange(1, longest + 1), "mean": values.mean(0), "std": spread(values)})
    found = found.assign(seeds=len(values), key=key(cell), **flat)
    return rounded(found[[*LONG, "key"]], ("chance", "step_stability", *FIGURES))
