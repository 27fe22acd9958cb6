"""What an artefact trains: its experiment file, with whatever the user asked for in its place."""

import dataclasses
import math
import tomllib
from collections.abc import Collection, Iterable, Sequence, Set
from pathlib import Path
from typing import Any

from turncoat import defence, errors, precision
from turncoat.data import SCALES, catalogue, status
from turncoat.reproduce.artefacts import OURS, Artefact
from turncoat.sweep import experiment
from turncoat.sweep.cells import Cell, key
from turncoat.sweep.experiment import Axes, Experiment
from turncoat.sweep.store import known_keys

THINNED = ("write_access", "local_budget", "global_budget")


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What the user asked for; None leaves it to the experiment files."""

    scales: tuple[str, ...] = tuple(SCALES)
    seeds: int | list[int] | None = None
    epochs: int | None = None
    quick: bool = False
    device: str | None = None
    precision: str = precision.FLOAT32


@dataclasses.dataclass(frozen=True)
class Known:
    """What a store or extracts hold: the keys of runs, and how many epochs runs were to train."""

    keys: Collection[str]
    lengths: Set[int]


@dataclasses.dataclass(frozen=True)
class Quick:
    """How a model on a data set is cut down for ``--quick``."""

    seeds: int
    epochs: int
    values: int  # of an axis of the grid


QUICK: dict[tuple[str, str], Quick] = {
    ("mnist-01", "logistic"): Quick(2, 10, 4),
    ("mnist", "logistic"): Quick(2, 3, 3),
    ("mnist", "mlp"): Quick(2, 2, 3),
    ("cifar10", "logistic"): Quick(2, 2, 3),
}
SMALLEST = Quick(2, 1, 2)


def planned(artefact: Artefact, wanted: Wanted = Wanted()) -> list[Experiment]:
    """One experiment for each of the wanted scales that the artefact has; none if it is not made in this precision.

    Raises:
        TurncoatError: for a scale that does not exist, or seeds or epochs that can't be.
    """
    file = _file(artefact)
    if misfit(artefact, wanted.precision):
        return []
    if wanted.precision != precision.FLOAT32:
        file = _with(file, precision=(wanted.precision,))
    if wanted.quick:
        file = _quick(file)
    device = file.device if wanted.device is None else wanted.device
    file = dataclasses.replace(file, device=device)
    if wanted.seeds is not None:
        file = dataclasses.replace(file, seeds=experiment.seeds(wanted.seeds))
    if wanted.epochs is not None:
        file = _with(file, epochs=(errors.whole(wanted.epochs, "epochs", 1),))
    file = dataclasses.replace(file, axes=_fitting(file.axes), also=tuple(map(_fitting, file.also)))
    for scale in wanted.scales:
        errors.choose(scale, SCALES, "scale")
    return [_with(file, scale=(s,)) for s in wanted.scales if s in file.axes["scale"]]


def misfit(artefact: Artefact, wanted: str) -> str:
    """Why an artefact is not made in this precision, in words; empty if it is."""
    if wanted == precision.FLOAT32:
        return ""
    file = _file(artefact)
    defended, federated = _values(file, "defence") - {defence.NONE}, _values(file, "workers") - {0}
    found = [precision.obstacle(bool(defended), bool(federated), m) for m in sorted(_values(file, "model"))]
    return next(filter(None, found), "")


def as_measured(artefact: Artefact, wanted: Wanted, known: Known) -> list[Experiment]:
    """As ``planned``, but at the length of training of which most attacked runs are known.

    So runs that were cut short are read without being told how short each artefact's are. What was asked for with
    ``epochs`` or ``quick`` stays.
    """
    asked = planned(artefact, wanted)
    whole = (
        wanted.epochs or wanted.quick or artefact.paper == OURS
    )  # ours ask for the lengths that were measured
    return asked if whole else [_as_measured(one, known) for one in asked]


def _as_measured(asked: Experiment, known: Known) -> Experiment:
    """At the length of which most attacked runs of the first seed are known, the longest of these; or as asked."""
    (full,) = asked.axes["epochs"]
    first = dataclasses.replace(asked, seeds=asked.seeds[:1])  # to look up all seeds takes long
    found = {}
    for epochs in (full, *sorted(known.lengths - {full}, reverse=True)):
        one = [c for c in experiment.cells(_with(first, epochs=(epochs,))) if c.threat.write_access > 0]
        found[epochs] = sum(key(cell) in known.keys for cell in one)
        if found[epochs] == len(one):  # no other can have more
            break
    most = max(found, key=lambda epochs: found[epochs])
    return _with(asked, epochs=(most,)) if found[most] else asked


def cut(artefact: Artefact, asked: Experiment) -> str:
    """What is less than in the committed experiment file, in words; empty if nothing is."""
    whole = _file(artefact)
    parts = [
        f"{axis.replace('_', ' ')} {len(_values(asked, axis))} of {len(_values(whole, axis))} values"
        for axis in THINNED
        if len(_values(asked, axis)) < len(_values(whole, axis))
    ]
    parts += [shorter] if (shorter := shortened(artefact, asked)) else []
    if (here := len(asked.seeds)) < (full := len(whole.seeds)):
        parts.append(f"{here} of {full} seeds")
    return "; ".join(parts)


def shortened(artefact: Artefact, asked: Experiment) -> str:
    """How much shorter the training is than in the committed experiment file, in words; empty if it is not."""
    whole = _file(artefact)
    here, full = max(_values(asked, "epochs")), max(_values(whole, "epochs"))
    return f"{here} of {full} epochs" if here < full else ""


def cells(asked: Iterable[Experiment]) -> list[Cell]:
    """The cells of all of them, each once."""
    return list(dict.fromkeys(cell for one in asked for cell in experiment.cells(one)))


def incomplete(asked: Iterable[Experiment], store: Path) -> list[Experiment]:
    """Those of which a store, which may not be there yet, lacks cells.

    Raises:
        TurncoatError: if no store can be at that place, or it cannot be read.
    """
    known = known_keys(store)
    return [one for one in asked if not all(key(cell) in known for cell in experiment.cells(one))]


def merged(asked: Iterable[Experiment]) -> list[Experiment]:
    """Those with the same seeds as one, so that cells which differ in their threat alone train together."""
    alike: dict[tuple[tuple[int, ...], str], list[Experiment]] = {}
    for one in asked:
        alike.setdefault((one.seeds, one.device), []).append(one)
    return [
        dataclasses.replace(
            group[0],
            name=", ".join(dict.fromkeys(one.name.removesuffix(".toml") for one in group)),
            also=tuple(axes for one in group for axes in (one.axes, *one.also))[1:],
        )
        for group in alike.values()
    ]


def refuse_absent(asked: Iterable[Experiment]) -> None:
    """Refuse to start while files of a data set are absent.

    Raises:
        TurncoatError: names the data sets, a file of each that is absent, and the command that fetches them.
    """
    names = sorted({str(name) for one in asked for name in _values(one, "dataset")})
    rows = {row.name: row for row in status()}
    absent = [rows[name] for name in names if rows[name].present < rows[name].files]
    if absent:
        files = {c.folder: ", ".join(c.files) for e in catalogue.DATASETS.values() if (c := e.collection)}
        lines = [
            f"{row.name} ({row.present} of {row.files} files in {row.folder}: "
            f"{next(f for folder, f in files.items() if row.folder.endswith(folder))})"
            for row in absent
        ]
        raise errors.TurncoatError(
            f"data are missing: {'; '.join(lines)}; type: turncoat data fetch {' '.join(r.name for r in absent)}"
        )


def _file(artefact: Artefact) -> Experiment:
    return experiment.experiment(tomllib.loads(artefact.text()), artefact.file)


def _values(asked: Experiment, axis: str) -> set[Any]:
    return {value for axes in (asked.axes, *asked.also) for value in axes.get(axis, ())}


def _with(asked: Experiment, **axes: tuple[Any, ...]) -> Experiment:
    return dataclasses.replace(
        asked, axes=asked.axes | axes, also=tuple(other | axes for other in asked.also)
    )


def _quick(file: Experiment) -> Experiment:
    """Fewer seeds and epochs, and a thinner grid that keeps both ends."""
    kinds = {(d, m) for d in file.axes["dataset"] for m in file.axes["model"]}
    sizes = [QUICK.get(kind, SMALLEST) for kind in kinds]
    most = min(size.values for size in sizes)
    file = _with(file, epochs=(min(size.epochs for size in sizes),))
    seeds = file.seeds[: min(size.seeds for size in sizes)]
    axes, *also = [_thinned(axes, most) for axes in (file.axes, *file.also)]
    return dataclasses.replace(file, axes=axes, also=tuple(also), seeds=seeds)


def _fitting(axes: Axes) -> Axes:
    """Without strikes that are as long as a training that was cut short."""
    if "last_rounds" not in axes:
        return axes
    short = tuple(last for last in axes["last_rounds"] if last < min(axes.get("epochs", (math.inf,))))
    return axes | {"last_rounds": short or (0,)}


def _thinned(axes: Axes, most: int) -> Axes:
    if "global_budget" in axes and len(axes["global_budget"]) == 1:
        return axes  # the pairs of one budget are few
    return axes | {name: _spaced(axes[name], most) for name in THINNED if name in axes}


def _spaced(values: Sequence[Any], most: int) -> tuple[Any, ...]:
    if len(values) <= most:
        return tuple(values)
    return tuple(values[round(i * (len(values) - 1) / (most - 1))] for i in range(most))
