"""The report of a sweep: its cells as a table, and every picture that they can give."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from turncoat import figures
from turncoat.analysis.skill import NO_SKILL
from turncoat.errors import TurncoatError
from turncoat.figures.cells import METRICS
from turncoat.figures.chosen import Mixed
from turncoat.report.report import Block, Cell, Choice, Column, Picture, Report, Section, Table, Text
from turncoat.report.svg import picture
from turncoat.sweep.cells import COLUMNS, HOW, short
from turncoat.sweep.frames import say_which_file

MEASURES = ("accuracy", "macro_f1")
MOST = 8  # settings that one kind of picture is drawn for
ESTIMATES = {"accuracy": "accuracy [95 %]", "macro_f1": "macro F1 [95 %]", "harm": "harm [95 %]"}

Progress = Callable[[int, int], None]
Where = dict[str, object]


def of_store(
    name: str, curves: pd.DataFrame, summary: pd.DataFrame, messages: pd.DataFrame, progress: Progress
) -> Report:
    """The report of a store's frames; ``progress`` is told how many kinds of pictures are drawn, and of how many."""
    sections = [_settings(summary), _results(summary)]
    for done, (kind, spec) in enumerate(figures.FIGURES.items()):
        progress(done, len(figures.FIGURES))
        if spec.make is not None:  # takes minutes to make
            continue
        blocks = _pictures(spec, messages if spec.reads == "visibility" else curves)
        if blocks:
            sections.append(Section(f"Picture: {kind}", f"{spec.help[0].upper()}{spec.help[1:]}.", blocks))
    progress(len(figures.FIGURES), len(figures.FIGURES))
    attacked = int((summary["write_access"] > 0).sum())
    lead = (
        f"{len(summary)} settings with up to {summary['seeds'].max()} seeds each, {attacked} of them under attack: what"
        " label flips alone did to the training."
    )
    return Report(
        f"Results of {name}", lead, tuple(sections), "Harm is clean accuracy minus attacked accuracy."
    )


def _settings(summary: pd.DataFrame) -> Section:
    same = {
        c: _value(c, summary[c].iloc[0]) for c in COLUMNS if c in summary and summary[c].nunique(False) == 1
    }
    rows = tuple((c.replace("_", " "), v) for c, v in same.items() if v not in (None, ""))
    named = sorted({word for words in summary["warnings"] for word in str(words).split()})
    told = [Text(_warning(name, summary), warning=True) for name in named]
    table = Table("What all cells share", (Column("setting"), Column("value")), rows)
    return Section("Settings", f"All cells share {len(rows)} settings.", (*told, table))


def _warning(name: str, summary: pd.DataFrame) -> str:
    marked = summary[summary["warnings"].astype(str).str.contains(name, regex=False)]
    if name == NO_SKILL:
        return (
            f"{name}: in {len(marked)} of {len(summary)} settings the clean model is no better than always answering"
            " the most frequent class, so harm there says nothing."
        )
    worst = marked["step_stability"].max()
    return (
        f"{name}: in {len(marked)} of {len(summary)} settings the step is up to {worst:.3g} times the longest that is"
        " sure to be stable, so harm there measures instability as much as the attack."
    )


def _results(summary: pd.DataFrame) -> Section:
    several = say_which_file(summary)
    names = [
        c for c in COLUMNS
        if c in summary and summary[c].nunique(False) > 1 and (c != "fingerprint" or several)
    ]  # fmt: skip
    measured = [m for m in ESTIMATES if f"{m}.mean" in summary]
    columns = [
        *(Column(n.replace("_", " "), "number" if summary[n].dtype.kind in "if" else "text") for n in names),
        Column("k·b", "number"), Column("seeds", "count"), *(Column(ESTIMATES[m], "share") for m in measured),
        Column("flips", "count"), Column("warnings"),
    ]  # fmt: skip
    rows = tuple(
        (*_names(row, names), float(row["global_budget"]), int(row["seeds"]), *(_estimate(row, m) for m in measured),
         float(row["flips"]), str(row["warnings"]))
        for row in summary.to_dict("records")
    )  # fmt: skip
    records = [r for r in summary.to_dict("records") if r["write_access"] > 0 and r.get("harm.mean", 0) >= -1]
    lead = "No cell is attacked."
    if records:
        worst = max(records, key=lambda row: float(row.get("harm.mean", 0)))
        lead = (
            f"The most harm is {100 * worst['harm.mean']:.1f} points, by {worst['selection']} flips with write access"
            f" {worst['write_access']:g} and local budget {worst['local_budget']:g}."
        )
    table = Table("Every setting; means over seeds and the last 10 % of the epochs", tuple(columns), rows)
    return Section("Figures", lead, (table,))


def _names(row: Mapping[Any, Any], names: list[str]) -> list[Cell]:
    clean = row["write_access"] == 0
    return [
        ("clean" if name == "selection" else None) if clean and name in HOW[1:] else _value(name, row[name])
        for name in names
    ]


def _value(name: str, value: Any) -> Cell:
    if value is None or value != value:
        return None
    if name == "fingerprint":
        return short(value)
    found: Cell = value.item() if isinstance(value, np.generic) else value
    return found


def _estimate(row: Mapping[Any, Any], measure: str) -> Cell:
    if row["write_access"] == 0 and measure == "harm":
        return None
    middle, low, high = (float(row[f"{measure}.{end}"]) for end in ("mean", "low", "high"))
    return None if middle != middle else (middle, low, high)


def _pictures(spec: figures.FigureSpec, frame: pd.DataFrame) -> tuple[Block, ...]:
    """The pictures of one kind, to be switched between; empty where the frame can give none."""
    if frame.empty:
        return ()
    drawn = list(itertools.islice(_drawable(spec, frame, {}), MOST + 1))
    views = []
    for where, figure in drawn[:MOST]:
        said = ", ".join(f"{key} {value}" for key, value in where.items()) or "all cells"
        if "metric" not in spec.choices:
            views.append(((said, "messages"), (_picture(spec, figure),)))
            continue
        views.append(((said, METRICS[MEASURES[0]]), (_picture(spec, figure),)))
        for measure in MEASURES[1:]:
            other = spec.draw(frame, where=where or None, captioned=False, metric=measure)
            views.append(((said, METRICS[measure]), (_picture(spec, other),)))
    if not views:
        return ()
    more = "More settings have such a picture: turncoat figure draws any of them with --where."
    left = [Text(more)] if len(drawn) > MOST else []
    blocks: list[Block] = (
        [views[0][1][0]] if len(views) == 1 else [Choice(("setting", "measure"), tuple(views))]
    )
    return (*blocks, *left)


def _drawable(spec: figures.FigureSpec, frame: pd.DataFrame, where: Where) -> Iterator[tuple[Where, Figure]]:
    """The largest parts of the frame of which such a picture can be drawn, and that of the first measure."""
    try:
        figure = spec.draw(frame, where=where or None, captioned=False)
    except Mixed as error:
        column, values = next(iter(error.columns.items()))
        if column not in where:
            for value in values:
                yield from _drawable(spec, frame, {**where, column: value})
    except TurncoatError:  # these cells have no such picture: one seed, one budget, nothing to compare
        return
    else:
        yield where, figure


def _picture(spec: figures.FigureSpec, figure: Figure) -> Picture:
    told = figures.caption_of(figure)
    return picture(figure, told, f"{spec.help[0].upper()}{spec.help[1:]}. {told}", paper=True)
