"""Cells of a store as tables: curves in long form, and statistics over seeds."""

import dataclasses

import numpy as np
import pandas as pd

from turncoat.analysis.results import Results, Run, Setting, with_clean_accuracy
from turncoat.sweep.cells import COLUMNS, READ, Cell, Config, clean_twin, from_config, share_a_name
from turncoat.training.task import CURVES


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """One cell: its config, its curves (epochs, CURVES), two figures of its setting, a federation's samples."""

    config: Config
    curves: np.ndarray
    chance: float
    step_stability: float | None  # None where the criterion does not apply
    samples: np.ndarray | None = None  # (looks, workers, SIGNS)


def curves(records: list[Record]) -> pd.DataFrame:
    """One row per cell and epoch, in the order of the config's columns."""
    records = sorted(records, key=_order)
    table = pd.DataFrame([record.config for record in records], columns=list(COLUMNS))
    lengths = [len(record.curves) for record in records]
    table["chance"] = [record.chance for record in records]
    table["step_stability"] = pd.Series([record.step_stability for record in records], dtype=float)
    long = table.loc[np.repeat(np.arange(len(records)), lengths)].reset_index(drop=True)
    values = np.concatenate([r.curves for r in records]) if records else np.empty((0, len(CURVES)))
    epochs = [np.arange(1, length + 1) for length in lengths]
    long["epoch"] = np.concatenate(epochs) if epochs else np.empty(0, dtype=np.int64)
    for column, name in enumerate(CURVES):
        long[name] = values[:, column]
    return long


def summary(records: list[Record]) -> pd.DataFrame:
    """One row per setting and threat, with the columns of ``Results.summary`` after those of the config."""
    tables = []
    for alike in _by_setting(records):
        table = _with_setting(_results(alike).summary(), alike[0])
        table["chance"] = alike[0].chance
        table["step_stability"] = np.nan if (s := alike[0].step_stability) is None else s
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))


def visibility(records: list[Record]) -> pd.DataFrame:
    """One row per cell, look and worker of the federations: the config, and what detection looks at."""
    tables = []
    for alike in _by_setting([record for record in records if record.samples is not None]):
        tables.append(_with_setting(_results(alike).visibility(), alike[0]))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))


def say_which_file(table: pd.DataFrame) -> bool:
    """Whether rows of a table are of several files that go by one name."""
    if not {"fingerprint", *READ} <= set(table.columns):
        return False
    return share_a_name(table[["fingerprint", *READ]].drop_duplicates().to_dict("records"))


def _with_setting(table: pd.DataFrame, record: Record) -> pd.DataFrame:
    missing = [name for name in COLUMNS if name != "seed" and name not in table.columns]
    setting = pd.DataFrame([[record.config[name] for name in missing]], columns=missing)
    return pd.concat([setting.loc[[0] * len(table)].reset_index(drop=True), table], axis=1)


def _results(records: list[Record]) -> Results:
    cells = [from_config(record.config) for record in records]
    first = records[0]
    problem = cells[0].problem
    stability = float("nan") if first.step_stability is None else first.step_stability
    setting = Setting(
        problem.dataset,
        problem.scale,
        problem.model,
        cells[0].recipe,
        first.chance,
        stability,
        cells[0].federation,
    )
    runs = tuple(
        Run(cell.threat, cell.seed, record.curves, record.samples)
        for cell, record in zip(cells, records, strict=True)
    )
    return Results(with_clean_accuracy(setting, runs), runs)


def _order(record: Record) -> tuple[tuple[str, float, str], ...]:
    """Settings before threats before seeds; numbers by size, names by letter, whatever was absent first."""
    return tuple(_rank(record.config[name]) for name in COLUMNS)


def _by_setting(records: list[Record]) -> list[list[Record]]:
    """Records of one problem, recipe and federation together, wherever their columns stand."""
    found: dict[Cell, list[Record]] = {}
    for record in sorted(records, key=_order):
        cell = from_config(record.config).with_seed(0)
        found.setdefault(clean_twin(cell), []).append(record)
    return list(found.values())


def _rank(value: object) -> tuple[str, float, str]:
    if value is None:
        return "", 0.0, ""
    if isinstance(value, int | float):
        return "number", float(value), ""
    return "text", 0.0, str(value)
