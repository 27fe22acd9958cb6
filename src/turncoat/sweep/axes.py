"""An experiment file: flat TOML keys, of which those with a list of values are swept.

Two keys stand for more than one value: ``global_budget``, with which each write access gets the local budget that
makes up this product, and ``[[also]]``, tables of keys that take the place of those above for further cells.
"""

import dataclasses
import tomllib
import typing
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from turncoat import errors
from turncoat.errors import TurncoatError
from turncoat.fields import descriptions
from turncoat.sweep.budgets import BUDGET
from turncoat.sweep.cells import KEYS, PARTS

DEMO = "demo.toml"
SEEDS = 6  # as in the papers
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
    except (ValueError, RecursionError) as error:  # also of numbers and lists that are too long or too deep
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
