"""What ``turncoat attack`` found: clean, attacked and random side by side, as a table or as JSON."""

import dataclasses
import json
import math
from typing import Any

from turncoat.analysis.results import Results
from turncoat.cli.show import (
    Column,
    column_lines,
    console,
    interval,
    note,
    print_table,
    records,
    warning_lines,
)
from turncoat.data.dataset import Dataset
from turncoat.federation.attacks import GRADIENT_ATTACKS
from turncoat.federation.federation import Federation
from turncoat.sweep.cells import PARTS, Cell
from turncoat.sweep.environment import environment
from turncoat.sweep.experiment import Experiment
from turncoat.threat import CLEAN
from turncoat.words import counted

STATISTICS = ("accuracy", "accuracy_last", "macro_f1", "macro_f1_last", "harm", "harm_last")
FIGURES = ("mean", "std", "median", "low", "high")


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The results of a threat, its clean twin and its random twin."""

    results: Results
    attacked: Cell
    random: Cell

    def rows(self) -> dict[str, dict[str, Any]]:
        """The summary's rows by the part they play; an attack that is random itself plays both."""
        summary = records(self.results.summary())
        by_threat = {threat: row for (threat, _), row in zip(self.results.by_threat(), summary, strict=True)}
        parts = {"clean": CLEAN, "attacked": self.attacked.threat, "random": self.random.threat}
        return {part: by_threat[threat] for part, threat in parts.items()}


def as_json(compared: Comparison, asked: Experiment, dataset: Dataset) -> str:
    """One object: ``clean``, ``attacked`` and ``random`` with nested statistics, and how they came about."""
    rows = {part: _nested(row) for part, row in compared.rows().items()}
    setting = compared.results.setting
    stability = setting.step_stability
    whole = {
        **rows,
        "harm": rows["attacked"]["harm"],
        "visibility": rows["attacked"]["visibility"],
        **{part: dataclasses.asdict(getattr(compared.attacked, part)) for part in PARTS},
        "global_budget": compared.attacked.threat.global_budget,
        "chance": setting.chance,
        "step_stability": None if math.isnan(stability) else stability,
        "warnings": list(setting.warnings),
        "columns": dataset.origin.notes() if dataset.origin else [],
        "seeds": list(asked.seeds),
        "versions": environment(asked.device),
    }
    return json.dumps(whole, indent=2)


def show(compared: Comparison, dataset: Dataset, quiet: bool = False) -> None:
    """Print the table with its warnings, and unless it is to be ``quiet`` what it is about."""
    setting, cell = compared.results.setting, compared.attacked
    if not quiet:
        console().print(
            f"{setting.dataset} ({setting.scale}), {setting.model}, {counted(cell.recipe.epochs, 'epoch')}: "
            f"{crowd(cell.federation)}k = {cell.threat.write_access:g}, b = {cell.threat.local_budget:g}"
        )
    _show_table(compared)
    if not quiet:
        _show_notes(compared)
    for line in (*column_lines(dataset), *warning_lines(setting.warnings, setting.step_stability)):
        console().print(line)


def _show_table(compared: Comparison) -> None:
    cell, threat = compared.attacked, compared.attacked.threat
    names = ("accuracy [95 %]", "std", "median", "macro F1", "harm [95 %]", "flips")
    columns = [Column(name, "figure", spare=name in ("std", "median")) for name in names]
    rows = []
    for part, row in compared.rows().items():
        label = {"clean": "clean", "attacked": f"{threat.selection}, {threat.goal}"}.get(part, part)
        if part == "random" and cell == compared.random:
            continue
        found = [
            label,
            interval(row, "accuracy"),
            "–" if row["seeds"] < 2 else f"{row['accuracy.std']:.3f}",
            f"{row['accuracy.median']:.3f}",
            f"{row['macro_f1.mean']:.3f}",
            "" if part == "clean" else interval(row, "harm"),
            note(row) or _flips(row),
        ]
        rows.append(found)
    print_table([Column(""), *columns], rows)


def _show_notes(compared: Comparison) -> None:
    setting = compared.results.setting
    seeds = compared.rows()["clean"]["seeds"]
    means = f"means over {seeds} seeds and" if seeds > 1 else "1 seed, which has no interval; means over"
    console().print(f"{means} the last 10 % of the epochs; flips are per epoch; chance {setting.chance:.3f}")
    if seen := _visibility(compared.rows()["attacked"]):
        console().print(
            f"visibility: the hostile workers' messages are {seen['norm_ratio']:.2f} times as long as the honest "
            f"ones; AUC of norm {seen['auc_norm']:.2f}, cosine {seen['auc_cosine']:.2f}, both "
            f"{seen['auc_linear']:.2f}; {seen['caught_at_1_percent']:.0%} of them caught at 1 % false alarms"
        )
    if beyond := _beyond_random(compared):
        console().print(beyond)


def _beyond_random(compared: Comparison) -> str:
    """How much more than random flips of the same seed the attack costs, and whether that is sure."""
    own, random = compared.attacked.threat, compared.random.threat
    if own == random:
        return ""
    more = compared.results.harm(own, random)
    if not more.has_interval:
        return f"{own.selection} costs {more.mean:.3f} more than random flips, of which one seed is sure of nothing"
    said = "surely more" if more.above else "surely less" if more.below else "which is not sure"
    ends = f"[{more.low:.3f}, {more.high:.3f}]"
    return f"against random flips, seed by seed, {own.selection} costs {more.mean:.3f} {ends} more: {said}"


def crowd(federation: Federation) -> str:
    """The federation in words, or nothing where data are pooled."""
    if not federation.workers:
        return ""
    return f"{federation.hostile} of {federation.workers} workers hostile, {federation.aggregator}: "


def _visibility(row: dict[str, Any]) -> dict[str, float]:
    """What a federation's row says about detection, by short names; empty where data are pooled."""
    start = "visibility."
    found = {name.removeprefix(start): value for name, value in row.items() if name.startswith(start)}
    return {name: float(value) for name, value in found.items() if not math.isnan(value)}


def _known(value: float) -> float | None:
    """The value, or None for NaN, of which JSON knows nothing: the ends of an interval that one seed does not have."""
    return None if math.isnan(value) else float(value)


def _flips(row: dict[str, Any]) -> str:
    return "–" if row["selection"] in GRADIENT_ATTACKS and row["write_access"] > 0 else f"{row['flips']:.0f}"


def _nested(row: dict[str, Any]) -> dict[str, Any]:
    found = {
        name: {figure: _known(row[f"{name}.{figure}"]) for figure in FIGURES}
        for name in STATISTICS
        if f"{name}.mean" in row
    }
    return found | {"flips": float(row["flips"]), "visibility": _visibility(row) or None}
