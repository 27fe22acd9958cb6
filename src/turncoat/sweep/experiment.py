"""An experiment file: flat TOML keys, of which those with a list of values are swept.

Two keys stand for more than one value: ``global_budget``, with which each write access gets the local budget that
makes up this product, and ``[[also]]``, tables of keys that take the place of those above for further cells.
"""

import dataclasses
import itertools
import tomllib
import typing
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from turncoat import errors, own_code
from turncoat.attack.selection import is_own
from turncoat.data import SCALES
from turncoat.errors import TurncoatError
from turncoat.federation.aggregators.chain import aggregator, coded
from turncoat.federation.threats import check_selection, placed_in
from turncoat.fields import descriptions
from turncoat.models import MODELS
from turncoat.sweep.budgets import BUDGET, derived
from turncoat.sweep.cells import DEFAULTS, KEYS, PARTS, Cell, clean_twin, normalised, why_idle
from turncoat.sweep.held import with_workers
from turncoat.sweep.prepared import tell_apart
from turncoat.sweep.problem import Problem
from turncoat.sweep.standing import stood_for

DEMO = "demo.toml"
SEEDS = 6  # as in the papers
# every comparison shows random flips of the same budget, unless an experiment names its selections itself
USUAL = {"selection": ("optimal", "random")}
ALSO = "also"

Axes = dict[str, tuple[Any, ...]]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What a file asks for; ``axes`` has the values of the keys that were given, in the file's order.

    Each of ``also`` is such a set of axes too, for further cells with the same seeds.
    """

    name: str
    axes: Axes
    seeds: tuple[int, ...]
    device: str
    also: tuple[Axes, ...] = ()


def read(path: str | Path) -> Experiment:
    """Read an experiment file.

    Raises:
        TurncoatError: if it cannot be read, is not TOML, or asks for something unknown or contradictory.
    """
    file = Path(path)
    try:
        keys = tomllib.loads(file.read_text(encoding="utf-8-sig"))
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
        own = {given: value for given, value in keys.items() if given not in ("seeds", "device", ALSO)}
        axes = _axes(own, (*KEYS, BUDGET, "seeds", "device", ALSO))
        device = errors.text(keys.get("device", "cpu"), "device")
        return Experiment(
            name, axes, seeds(keys.get("seeds", SEEDS)), device, _further(axes, keys.get(ALSO, []))
        )


def _axes(keys: Mapping[str, Any], known: tuple[str, ...]) -> Axes:
    axes = {}
    for given, value in keys.items():
        if isinstance(value, dict):
            raise TurncoatError(f"[{given}] is a table, but keys are flat: leave the line out")
        errors.choose(given, known, "key")
        axes[given] = _values(given, value)
    return axes


def _further(axes: Axes, tables: object) -> tuple[Axes, ...]:
    """The axes of each table of ``also``: those above, but for the keys that the table names itself."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) and table for table in tables):
        raise TurncoatError(f"{ALSO} holds no tables of keys: write [[{ALSO}]], and the keys below it")
    found = []
    for table in tables:
        own = _axes(table, (*KEYS, BUDGET))
        # the two ways of saying how much is flipped take each other's place
        aside = {BUDGET: "local_budget", "local_budget": BUDGET}
        kept = {name: v for name, v in axes.items() if aside.get(name) not in own}
        found.append(kept | own)
    return tuple(found)


MOST_SEEDS = 10_000


def seeds(value: object) -> tuple[int, ...]:
    """Seeds from a count (6 means 0 to 5) or a list.

    Raises:
        TurncoatError: if it is neither, or no seed is left.
    """
    if not isinstance(value, list):
        count = errors.whole(value, "seeds (a count or a list)", 1)
        if count > MOST_SEEDS:
            raise TurncoatError(
                f"seeds is {count}, but a count is at most {MOST_SEEDS:,}; one certain seed is a list of one:"
                f" seeds = [{count}] in a file, --seeds {count}, with a comma on the command line"
            )
        return tuple(range(count))
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
        for axes in map(with_workers, (experiment.axes, *experiment.also)):
            named = itertools.chain(*(stood_for(c, axes) for c in _combinations(axes, experiment.seeds[0])))
            asked = [_placed(_checked(cell), axes) for cell in named]
            here = [twin for cell in asked for twin in (clean_twin(normalised(cell)), normalised(cell))]
            _refuse_idle(axes, asked, here)
            _refuse_redrawn(axes, asked)
            found |= dict.fromkeys(here)
        told = {problem: tell_apart(problem) for problem in {cell.problem for cell in found}}
        apart = [_coded(cell, *told[cell.problem]) for cell in found]
        return [dataclasses.replace(cell, seed=seed) for seed in experiment.seeds for cell in apart]


def _coded(cell: Cell, problem: Problem, fingerprint: str) -> Cell:
    """With the data's fingerprint, and the digest of its code behind every name of one's own."""
    threat, federation = cell.threat, cell.federation
    if isinstance(threat.selection, str) and is_own(threat.selection):
        threat = dataclasses.replace(threat, selection=own_code.coded(threat.selection, "selection"))
    if isinstance(federation.aggregator, str):
        federation = dataclasses.replace(federation, aggregator=coded(federation.aggregator))
    return dataclasses.replace(
        cell, problem=problem, fingerprint=fingerprint, threat=threat, federation=federation
    )


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
    if name == BUDGET:
        return errors.share(value, name)
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


def _combinations(given: Axes, seed: int) -> list[Cell]:
    axes = USUAL | given
    choices: dict[str, list[Any]] = {}
    for part, cls in PARTS.items():
        own = {name: values for name, values in axes.items() if KEYS.get(name) == part}
        if part == KEYS["local_budget"] and BUDGET in axes:
            own[BUDGET] = axes[BUDGET]
        keys = [dict(zip(own, values, strict=True)) for values in itertools.product(*own.values())]
        choices[part] = [cls(**k) for k in (derived(keys) if BUDGET in own else keys)]
    return [
        Cell(**dict(zip(choices, parts, strict=True)), seed=seed)
        for parts in itertools.product(*choices.values())
    ]


def _checked(cell: Cell) -> Cell:
    """Names are refused before any data is read; a model's ``module:callable`` is looked up when it is built."""
    if ":" not in cell.problem.model:
        errors.choose(cell.problem.model, MODELS, "model")
    errors.choose(cell.problem.scale, SCALES, "scale")
    check_selection(cell.threat)
    aggregator(cell.federation.aggregator)
    return cell


def _placed(cell: Cell, axes: Axes) -> Cell:
    """With the write access that a federation's hostile workers have."""
    if cell.federation.workers and "write_access" in axes:
        raise TurncoatError(
            "write_access is hostile / workers in a federation: leave write_access out, and set hostile"
        )
    return dataclasses.replace(cell, threat=placed_in(cell.federation, cell.threat, cell.recipe))


def _refuse_idle(axes: Axes, asked: list[Cell], found: list[Cell]) -> None:
    """A value that no cell carries would do nothing: say why."""
    for name, values in axes.items():
        if name == BUDGET:
            continue
        part = KEYS[name]
        carried = {getattr(getattr(cell, part), name) for cell in found}
        for cell in asked:
            value = getattr(getattr(cell, part), name)
            if value not in carried and value != DEFAULTS[name] and value in values:
                raise TurncoatError(
                    f"{name} {value!r} would do nothing: {why_idle(cell, name)}, or leave {name} out"
                )


def _refuse_redrawn(axes: Axes, asked: list[Cell]) -> None:
    """Placement "resampled" is the default, but a mistake where it was asked for and nothing is drawn anew."""
    if "resampled" not in axes.get("placement", ()):
        return
    attacked = [cell for cell in asked if not cell.threat.is_clean]
    if attacked and all(cell.federation.workers or cell.threat.schedule == "once" for cell in attacked):
        why = (
            "hostile workers keep their own data"
            if attacked[0].federation.workers
            else "with schedule 'once' flips stay where they were put before training"
        )
        raise TurncoatError(f"placement 'resampled' contradicts the rest: {why}; leave placement out")
