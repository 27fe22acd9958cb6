"""What ``turncoat attack`` found: clean, attacked and random side by side, as a table or as JSON."""

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import Any

from turncoat.analysis.modes import objectives
from turncoat.analysis.results import Results
from turncoat.analysis.strongest import by_strength, learned
from turncoat.cli.beside import Others
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
from turncoat.threat import CLEAN, Threat
from turncoat.training.idle import idle_fields
from turncoat.words import counted

STATISTICS = ("accuracy", "accuracy_last", "macro_f1", "macro_f1_last", "harm", "harm_last")
FIGURES = ("mean", "std", "median", "low", "high")
ON_TRAINING_DATA = "accuracy on training data"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The results of a threat, its clean twin, its random twin, and what stands beside.

    ``ranked`` has every attack, the strongest first, where the strongest was asked for; ``attacked`` is then the first.
    """

    results: Results
    attacked: Cell
    random: Cell
    beside: Others = Others(())
    ranked: tuple[Cell, ...] = ()

    def rows(self) -> dict[str, dict[str, Any]]:
        """The summary's rows by the part they play; an attack that is random itself plays both."""
        by_threat = self.by_threat()
        parts = {"clean": CLEAN, "attacked": self.attacked.threat, "random": self.random.threat}
        return {part: by_threat[threat] for part, threat in parts.items()}

    def by_threat(self) -> dict[Threat, dict[str, Any]]:
        """The summary's rows by the threat that they are of."""
        summary = records(self.results.summary())
        return {threat: row for (threat, _), row in zip(self.results.by_threat(), summary, strict=True)}

    def shown(self) -> list[tuple[str, Threat]]:
        """What the table shows, each with its name: the attack that is asked about right after the clean run."""
        attacks = dict.fromkeys([*(self.ranked or (self.attacked,)), *self.beside.cells, self.random])
        names = {cell.threat: "random" if cell == self.random else called(cell) for cell in attacks}
        return [("clean", CLEAN), *((name, threat) for threat, name in names.items())]


def compared(results: Results, attacks: Sequence[Cell], random: Cell, beside: Others) -> Comparison:
    """The comparison of one attack, or of the strongest among several: on training data, not on the test set."""
    if len(attacks) == 1:
        return Comparison(results, attacks[0], random, beside)
    cells = {cell.threat: cell for cell in attacks}
    ranked = tuple(cells[threat] for threat in by_strength(results, cells))
    return Comparison(results, ranked[0], random, beside, ranked)


def called(cell: Cell) -> str:
    """An attack by its rule, and its goal where it has one."""
    aimless = "goal" in idle_fields(cell.threat, cell.recipe, cell.federation)
    knowing = ", aware" if cell.threat.aware else ""
    return str(cell.threat.selection) + ("" if aimless else f", {cell.threat.goal}") + knowing


def as_json(compared: Comparison, asked: Experiment, dataset: Dataset) -> str:
    """One object: ``clean``, ``attacked`` and ``random`` with nested statistics, and how they came about."""
    rows = {part: _nested(row) for part, row in compared.rows().items()}
    setting = compared.results.setting
    stability = setting.step_stability
    by_threat = compared.by_threat()
    beside = {
        str(c.threat.selection) + "_aware" * c.threat.aware: _nested(by_threat[c.threat])
        for c in compared.beside.cells
    }
    whole = {
        **rows,
        **{part: row for part, row in beside.items() if part not in rows},
        **({"strongest": _strongest(compared)} if compared.ranked else {}),
        **({"objectives": _objectives(compared)} if setting.in_training else {}),
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
    names = ["accuracy [95 %]", "std", "median", "macro F1", "harm [95 %]", "flips"]
    names += [ON_TRAINING_DATA] if compared.ranked else []
    columns = [Column(name, "figure", spare=name in ("std", "median")) for name in names]
    by_threat = compared.by_threat()
    rows = []
    for name, threat in compared.shown():
        row = by_threat[threat]
        found = [
            name,
            interval(row, "accuracy"),
            "–" if row["seeds"] < 2 else f"{row['accuracy.std']:.3f}",
            f"{row['accuracy.median']:.3f}",
            f"{row['macro_f1.mean']:.3f}",
            "" if threat.is_clean else interval(row, "harm"),
            note(row) or _flips(row),
        ]
        found += [f"{learned(compared.results, threat).mean:.3f}"] if compared.ranked else []
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
    if compared.ranked:
        console().print(
            f"found by {called(compared.attacked)}: of {len(compared.ranked)} attacks it leaves the least accuracy on"
            " training data, by which it is chosen; the test set chooses nothing"
        )
    if beyond := _beyond_random(compared):
        console().print(beyond)
    if compared.beside.unplanned:
        console().print(compared.beside.unplanned)
    if setting.in_training:
        console().print(_in_both_modes(compared))


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


def _objectives(compared: Comparison) -> dict[str, dict[str, float | None]]:
    """The attack's objective by mode, before and after its flips: means over the rounds and seeds."""
    found = objectives(compared.results, compared.attacked.threat)
    return {
        mode: {"before": _known(pair[0].mean), "after": _known(pair[1].mean)} for mode, pair in found.items()
    }


def _in_both_modes(compared: Comparison) -> str:
    """What the attack's flips do to the objective where they are exact, and where steps are taken."""
    found = objectives(compared.results, compared.attacked.threat)
    told = [
        f"from {before.mean:.3g} to {after.mean:.3g} in {mode} mode"
        for mode, (before, after) in found.items()
    ]
    return f"in a round {called(compared.attacked)} takes the objective {', and '.join(told)}"


def _strongest(compared: Comparison) -> dict[str, Any]:
    """The attack that was found, and all that it was found among."""
    by_threat = compared.by_threat()
    rows = []
    for cell in compared.ranked:
        on_training = dataclasses.asdict(learned(compared.results, cell.threat))
        own = {name: _known(value) for name, value in on_training.items() if name in FIGURES}
        row = {"selection": cell.threat.selection, "goal": cell.threat.goal, "train_accuracy": own}
        rows.append(row | _nested(by_threat[cell.threat]))
    first = rows[0]
    found_by = called(compared.attacked)
    return {"selection": first["selection"], "goal": first["goal"], "found_by": found_by, "rows": rows}


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
