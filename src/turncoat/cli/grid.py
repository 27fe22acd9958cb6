"""A sweep as small tables: write access down, local budget across, random flips of the same budget beside."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from turncoat.cli.show import Column, console, note, print_table, records, warning_lines
from turncoat.sweep.cells import COLUMNS, Cell, Config, clean_twin, config, random_twin, share_a_name, short
from turncoat.words import counted

MOST = 10  # values per axis, and tables, that are printed
LONGEST = 60  # lines of a list
AXES = ("write_access", "local_budget")
Key = tuple[object, ...]


def show(cells: Iterable[Cell], summary: pd.DataFrame) -> None:
    """Print one table per setting and kind of attack, or a line for each where they have one budget each."""
    first = _first_seeds(cells)
    rows = {_key(row): row for row in _records(summary)}
    blocks = _blocks(first)
    varied = _varied([config(block[0]) for block in blocks.values()])
    if len(blocks) > 1 and all(len(block) == 1 for block in blocks.values()):
        _show_list([block[0] for block in blocks.values()], rows, varied)
        return
    for block in list(blocks.values())[:MOST]:
        _show_block(block, rows, varied)
    if len(blocks) > MOST:
        console().print(f"{MOST} of {len(blocks)} tables shown; turncoat results shows all cells")


def _show_block(block: list[Cell], rows: dict[Key, Any], varied: list[str]) -> None:
    flat = config(block[0])
    clean = rows[_key(config(clean_twin(block[0])))]
    settings = ", ".join(f"{name} {_said(name, flat)}" for name in varied) or f"{flat['selection']} flips"
    ks, bs = (sorted({getattr(cell.threat, axis) for cell in block}) for axis in AXES)
    cells = {(cell.threat.write_access, cell.threat.local_budget): cell for cell in block}
    columns = [Column("k \\ b", justify="right", spoken="k =")]
    columns += [Column(f"{b:g}", "figure", justify="center", spoken=f"b = {b:g}:") for b in _thinned(bs)]
    pairs = [
        [f"{k:g}", *(_pair(cells[k, b], rows) if (k, b) in cells else "" for b in _thinned(bs))]
        for k in _thinned(ks)
    ]
    out = console()
    beside = "" if flat["selection"] == "random" else " | random"
    out.print(f"{_data(flat)}: {settings}{beside}")
    print_table(columns, pairs)
    out.print(
        f"accuracy over {counted(clean['seeds'], 'seed')}, last 10 % of the epochs; "
        f"clean {clean['accuracy.mean']:.3f}, chance {clean['chance']:.3f}"
    )
    if len(ks) > MOST or len(bs) > MOST:
        out.print(f"{len(ks)} × {len(bs)} cells, of which not all are shown; turncoat results shows them")
    for line in warning_lines(str(clean["warnings"]).split(), clean["step_stability"]):
        out.print(line)


def _show_list(cells: list[Cell], rows: dict[Key, Any], varied: list[str]) -> None:
    columns = [Column("data and model", spoken=""), *(Column(name.replace("_", " ")) for name in varied)]
    columns += [Column(name, justify="right") for name in ("k", "b")]
    columns += [Column(name, "figure") for name in ("clean", "attacked | random")]
    lines: list[list[str | None]] = []
    warnings: dict[str, None] = {}
    for cell in cells[:LONGEST]:
        flat, clean = config(cell), rows[_key(config(clean_twin(cell)))]
        budget = (f"{flat[axis]:g}" for axis in AXES)
        settings = (_said(name, flat) for name in varied)
        lines.append([_data(flat), *settings, *budget, f"{clean['accuracy.mean']:.3f}", _pair(cell, rows)])
        warnings |= dict.fromkeys(warning_lines(str(clean["warnings"]).split(), clean["step_stability"]))
    out = console()
    print_table(columns, lines)
    out.print("accuracy over the seeds and the last 10 % of the epochs")
    if len(cells) > LONGEST:
        out.print(f"{LONGEST} of {len(cells)} attacks shown; turncoat results shows all cells")
    for line in warnings:
        out.print(line)


def _said(name: str, flat: Config) -> str | None:
    if name == "fingerprint":
        return short(flat[name])
    return None if flat[name] is None else str(flat[name])


def _data(flat: Config) -> str:
    return f"{flat['dataset']} ({flat['scale']}), {flat['model']}"


def _pair(cell: Cell, rows: dict[Key, Any]) -> str:
    """The attacked accuracy, and that of random flips where the sweep has it."""
    row = rows[_key(config(cell))]
    twin = random_twin(cell)
    beside = rows.get(_key(config(twin))) if twin != cell else None
    text = f"{row['accuracy.mean']:.3f}"
    if beside is not None:
        text += f" | {beside['accuracy.mean']:.3f}"
    return f"{text} ({note(row)})" if note(row) else text


def _blocks(cells: list[Cell]) -> dict[Key, list[Cell]]:
    """Attacked cells that differ in their budget alone; random ones stand in the tables of the others."""
    twins = {random_twin(cell) for cell in cells if not cell.threat.is_clean and random_twin(cell) != cell}
    blocks: dict[Key, list[Cell]] = {}
    for cell in cells:
        if not cell.threat.is_clean and cell not in twins:
            flat = config(cell)
            blocks.setdefault(tuple(flat[n] for n in COLUMNS if n not in AXES), []).append(cell)
    return blocks


def _first_seeds(cells: Iterable[Cell]) -> list[Cell]:
    """One cell for all seeds."""
    found: dict[Key, Cell] = {}
    for cell in cells:
        found.setdefault(_key(config(cell)), cell)
    return list(found.values())


def _key(flat: Config) -> Key:
    return tuple(flat[name] for name in COLUMNS if name != "seed")


def _records(summary: pd.DataFrame) -> list[Config]:
    # pandas makes NaN of what is absent
    absent = ("label", "drop", "group")
    return [row | {n: None if pd.isna(row[n]) else row[n] for n in absent} for row in records(summary)]


def _varied(configs: list[Config]) -> list[str]:
    known = {*AXES, "seed", "dataset", "scale", "model"}
    if not share_a_name(configs):
        known.add("fingerprint")
    return [name for name in COLUMNS if name not in known and len({flat[name] for flat in configs}) > 1]


def _thinned(values: list[float]) -> list[float]:
    if len(values) <= MOST:
        return values
    return [values[round(i * (len(values) - 1) / (MOST - 1))] for i in range(MOST)]
