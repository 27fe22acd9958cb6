"""Which cells are trained together."""

import dataclasses
import hashlib
from collections.abc import Iterable

import turncoat
from turncoat.sweep.cells import Cell, clean_twin, key
from turncoat.training.stack import tiles


@dataclasses.dataclass(frozen=True)
class Stack:
    """Cells that differ in their threat alone, in the order in which they are stacked."""

    cells: tuple[Cell, ...]
    shapes: str  # of the model's parameters
    device: str = "cpu"  # where it is trained

    @property
    def key(self) -> str:
        """Names the stack and its checkpoint: no other version or shape goes on with what was saved."""
        text = "\n".join((turncoat.__version__, self.shapes, *(key(cell) for cell in self.cells)))
        return hashlib.sha256(text.encode()).hexdigest()


def by_seed(cells: Iterable[Cell]) -> list[list[Cell]]:
    """Cells that share everything but their threat."""
    alike: dict[Cell, list[Cell]] = {}
    for cell in cells:
        alike.setdefault(clean_twin(cell), []).append(cell)
    return list(alike.values())


def stacks(alike: list[Cell], tile: int, known: set[str], shapes: str, device: str) -> list[Stack]:
    """Cut cells that share everything but their threat into stacks, without those that are ``known``.

    The cut is made before the known cells are left out, so a sweep that goes on finds the stacks it left.
    """
    cells = {cell.threat: cell for cell in alike}
    found = []
    for threats in tiles(tuple(cells), tile):
        left = tuple(cells[threat] for threat in threats if key(cells[threat]) not in known)
        if left:
            found.append(Stack(left, shapes, device))
    return found
