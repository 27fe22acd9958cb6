"""An experiment file: flat TOML keys, of which those with a list of values are swept."""

import dataclasses
import itertools
import tomllib
import typing
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from turncoat import errors
from turncoat.data import DATASETS, SCALES, load
from turncoat.errors import TurncoatError
from turncoat.federation.threats import placed_in
from turncoat.fields import descriptions
from turncoat.models import MODELS
from turncoat.sweep.cells import KEYS, PARTS, Cell, clean_twin, default, normalised, why_idle
from turncoat.sweep.setup import Setup

DEMO = "demo.toml"
SEEDS = 6  # as in the papers
# every comparison shows random flips of the same budget, unless an experiment names its selections itself
USUAL = {"selection": ("optimal", "random")}


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What a file asks for; ``axes`` has the values of the keys that were given, in the file's order."""

    name: str
    axes: dict[str, tuple[Any, ...]]
    seeds: tuple[int, ...]
    device: str


def read(path: str | Path) -> Experiment:
    """Read an experiment file.

    Raises:
        TurncoatError: if it cannot be read, is not TOML, or asks for something unknown or contradictory.
    """
    file = Path(path)
    try:
        keys = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise TurncoatError(f"{path}: {error.strerror or error}; give the path of a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TurncoatError(f"{path}: not TOML: {error}") from error
    return experiment(keys, file.name)


def demo() -> Experiment:
    """The built-in experiment: both axes of the threat on handwritten digits."""
    text = resources.files("turncoat.sweep").joinpath(DEMO).read_text(encoding="utf-8")
    return experiment(tomllib.loads(text), DEMO)


def experiment(keys: Mapping[str, Any], name: str = "") -> Experiment:
    """An experiment from keys and values; a list of values is swept, except for ``seeds``.

    Raises:
        TurncoatError: for an unknown key or a value that can't be one.
    """
    with telling(name):
        axes = {}
        for given, value in keys.items():
            if isinstance(value, dict):
                raise TurncoatError(f"[{given}] is a table, but keys are flat: leave the line out")
            errors.choose(given, (*KEYS, "seeds", "device"), "key")
            if given in KEYS:
                axes[given] = _values(given, value)
        device = errors.text(keys.get("device", "cpu"), "device")
        return Experiment(name, axes, seeds(keys.get("seeds", SEEDS)), device)


def seeds(value: object) -> tuple[int, ...]:
    """Seeds from a count (6 means 0 to 5) or a list.

    Raises:
        TurncoatError: if it is neither, or no seed is left.
    """
    if not isinstance(value, list):
        return tuple(range(errors.whole(value, "seeds (a count or a list)", 1)))
    if not value:
        raise TurncoatError("seeds is an empty list: name at least one, such as seeds = [0]")
    return tuple(dict.fromkeys(errors.whole(seed, "a seed") for seed in value))


def cells(experiment: Experiment) -> list[Cell]:
    """All cells of an experiment, each once; the clean run of every setting and seed is among them.

    Raises:
        TurncoatError: for a value out of range, or one that would do nothing in every cell.
    """
    with telling(experiment.name):
        found: dict[Cell, None] = {}
        asked = [_placed(_checked(cell), experiment) for cell in _combinations(experiment)]
        for cell in asked:
            found[clean_twin(normalised(cell))] = None
            found[normalised(cell)] = None
        _refuse_idle(experiment, asked, list(found))
        fingerprints = {setup: fingerprint(setup) for setup in {cell.setup for cell in found}}
        return [
            dataclasses.replace(cell, seed=seed, fingerprint=fingerprints[cell.setup])
            for seed in experiment.seeds
            for cell in found
        ]


def fingerprint(setup: Setup) -> str:
    """That of a data file of one's own; empty for a named data set, whose files are checked by their sums."""
    if setup.dataset in DATASETS:
        return ""
    return load(setup.dataset, setup.scale, label=setup.label, test_share=setup.test_share).fingerprint


class telling:
    """Within it, a user's mistake is told with the name of the file it stands in."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Put the name before a TurncoatError."""
        if isinstance(error, TurncoatError) and self.name and not str(error).startswith(f"{self.name}: "):
            raise TurncoatError(f"{self.name}: {error}") from error


def _values(name: str, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        return (_typed(name, value),)
    if not value:
        raise TurncoatError(f"{name} is an empty list: give at least one value")
    for item in value:
        if isinstance(item, list | dict):
            raise TurncoatError(f"{name} holds {item!r}, but a list to be swept holds plain values")
    return tuple(dict.fromkeys(_typed(name, item) for item in value))


def _typed(name: str, value: object) -> object:
    """The value as the field's type: ``1`` will do for a float, anything else that differs is a mistake."""
    annotation = descriptions(PARTS[KEYS[name]])[name][0].type
    kinds = (annotation, *typing.get_args(annotation))
    if bool in kinds:
        if not isinstance(value, bool):
            raise TurncoatError(f"{name} is {value!r}, but must be true or false")
        return value
    if float in kinds:
        return errors.real(value, name)
    if int in kinds:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TurncoatError(f"{name} is {value!r}, but must be a whole number")
        return value
    return errors.text(value, name)


def _combinations(experiment: Experiment) -> list[Cell]:
    axes = USUAL | experiment.axes
    choices: dict[str, list[Any]] = {}
    for part, cls in PARTS.items():
        own = {name: values for name, values in axes.items() if KEYS[name] == part}
        choices[part] = [cls(**dict(zip(own, v, strict=True))) for v in itertools.product(*own.values())]
    return [
        Cell(**dict(zip(choices, parts, strict=True)), seed=experiment.seeds[0])
        for parts in itertools.product(*choices.values())
    ]


def _checked(cell: Cell) -> Cell:
    """Names are refused before any data is read; ``module:callable`` is looked up when the model is built."""
    if ":" not in cell.setup.model:
        errors.choose(cell.setup.model, MODELS, "model")
    errors.choose(cell.setup.scale, SCALES, "scale")
    return cell


def _placed(cell: Cell, experiment: Experiment) -> Cell:
    """With the write access that a federation's hostile workers have."""
    if cell.federation.workers and "write_access" in experiment.axes:
        raise TurncoatError(
            "write_access is hostile / workers in a federation: leave write_access out, and set hostile"
        )
    return dataclasses.replace(cell, threat=placed_in(cell.federation, cell.threat, cell.recipe))


def _refuse_idle(experiment: Experiment, asked: list[Cell], found: list[Cell]) -> None:
    """A value that no cell carries would do nothing: say why."""
    for name, values in experiment.axes.items():
        part = KEYS[name]
        carried = {getattr(getattr(cell, part), name) for cell in found}
        for cell in asked:
            value = getattr(getattr(cell, part), name)
            if value not in carried and value != default(name) and value in values:
                raise TurncoatError(
                    f"{name} {value!r} would do nothing: {why_idle(cell, name)}, or leave {name} out"
                )
