"""What an experiment asks for that contradicts itself, or would do nothing in every cell.

It needs neither PyTorch nor data, so that the command line refuses it at once.
"""

import dataclasses
import itertools
from typing import Any

from turncoat import defence, precision
from turncoat.errors import TurncoatError
from turncoat.federation.threats import placed_in
from turncoat.sweep.axes import Axes
from turncoat.sweep.budgets import BUDGET, derived
from turncoat.sweep.cells import DEFAULTS, KEYS, PARTS, Cell, clean_twin, normalised, why_idle

# every comparison shows random flips of the same budget, unless an experiment names its selections itself
USUAL = {"selection": ("optimal", "random")}


def combinations(given: Axes, seed: int) -> list[Cell]:
    """Every combination of the values of these axes, with one seed."""
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


def placed(cell: Cell, axes: Axes) -> Cell:
    """The cell with the write access that a federation's hostile workers have.

    Raises:
        TurncoatError: if the axes name a write access too, or the threat fits no such federation or recipe.
    """
    if cell.federation.workers and "write_access" in axes:
        raise TurncoatError(
            "write_access is hostile / workers in a federation: leave write_access out, and set hostile"
        )
    recipe, federated = cell.recipe, bool(cell.federation.workers)
    precision.refuse(recipe.precision, recipe.defence != defence.NONE, federated, cell.problem.model)
    return dataclasses.replace(cell, threat=placed_in(cell.federation, cell.threat, cell.recipe))


def distinct(asked: list[Cell]) -> list[Cell]:
    """What is trained for these cells: each without what does nothing in it, and its clean twin."""
    return [twin for cell in map(normalised, asked) for twin in (clean_twin(cell), cell)]


def refuse(axes: Axes, asked: list[Cell], found: list[Cell]) -> None:
    """Accept axes by the cells that they ask for, and the distinct ones that are found.

    Raises:
        TurncoatError: for a value that would do nothing in every cell, or that contradicts the rest.
    """
    _refuse_idle(axes, asked, found)
    _refuse_redrawn(axes, asked)


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
