"""``selection = "strongest"``: one word of an experiment that stands for every rule and goal that a threat admits."""

import dataclasses
from collections.abc import Container

from turncoat.analysis.strongest import candidates
from turncoat.attack.names import STRONGEST
from turncoat.sweep.cells import Cell
from turncoat.threat import GOALS


def stood_for(cell: Cell, named: Container[str]) -> list[Cell]:
    """The cells that a cell stands for; a goal that was named is the only one."""
    if cell.threat.selection != STRONGEST:
        return [cell]
    goals = (cell.threat.goal,) if "goal" in named else GOALS
    threats = candidates(cell.threat, cell.recipe, cell.federation, goals)
    return [dataclasses.replace(cell, threat=threat) for threat in threats]
