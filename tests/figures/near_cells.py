"""Cells of a small federation under a gradient attack, its imitation, planned and random flips."""

from turncoat import Federation, Recipe, Threat
from turncoat.federation.threats import placed_in
from turncoat.sweep.cells import Cell
from turncoat.sweep.problem import Problem

RECIPE = Recipe(epochs=1, learning_rate=0.2)
FEDERATION = Federation(workers=4, hostile=1)
RULES = ("sign_flip", "imitate:sign_flip", "planned", "random")


def quiet(done: int, total: int) -> None:
    pass


def cell(selection: str | None, seed: int) -> Cell:
    threat = Threat() if selection is None else placed_in(FEDERATION, Threat(selection=selection), RECIPE)
    return Cell(Problem(dataset="digits"), RECIPE, FEDERATION, threat, seed)
