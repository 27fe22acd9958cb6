"""Models on parts of the data that vote: every part is a stack of its own, and they are trained epoch by epoch.

Rows are dealt by a hash of their features (Levine and Feizi 2021). The attacker holds the same share of every part and
spends its budget part by part, against the model that reads the part.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from turncoat import voting
from turncoat.metrics import accuracy, confusion, macro_f1, tail
from turncoat.threat import Threat
from turncoat.training.checkpoint import Arrays
from turncoat.training.loop import LEARNED, looked_at, one_epoch
from turncoat.training.run import StackRun
from turncoat.training.task import CURVES, RunState, Task, start


@dataclasses.dataclass
class PartedRun:
    """The runs of the parts, and the curves of their vote."""

    task: Task  # of all rows
    threats: tuple[Threat, ...]
    parts: list[StackRun]
    voted: np.ndarray | None = None  # (epochs, replicas, curves) so far

    def advance(self) -> Iterator[int]:
        """Train to the end, yielding after each step how many replicas took it."""
        tasks = []
        for part in self.parts:
            task = yield from part.prepared()
            part.main = part.main or start(task)
            tasks.append(task)
        voted = self._voted()
        for epoch in range(self.task.recipe.epochs):
            if np.isfinite(voted[epoch, 0, 0]):
                continue
            states = [part.main for part in self.parts if part.main is not None]
            for task, state in zip(tasks, states, strict=True):
                if state.epoch == epoch:
                    yield from one_epoch(task, state)
            voted[epoch] = self._vote(tasks, states, epoch)

    def steps(self) -> int:
        """How many replica-steps the whole run takes."""
        return sum(part.steps() for part in self.parts)

    def curves(self) -> np.ndarray:
        """(epochs, replicas, curves) once the run is over."""
        return self._voted()

    def samples(self) -> np.ndarray:
        """No messages, so nothing to look at."""
        return self.task.way.samples(len(self.threats))

    def to_arrays(self) -> Arrays:
        """Everything needed to go on, as named arrays."""
        arrays: Arrays = {"voted": self._voted().copy()}
        for number, part in enumerate(self.parts):
            arrays |= {f"{number}|{key}": value for key, value in part.to_arrays().items()}
        return arrays

    def restore(self, arrays: Arrays) -> None:
        """Go on from what ``to_arrays`` gave."""
        self.voted = arrays["voted"].copy()
        for number, part in enumerate(self.parts):
            own = f"{number}|"
            part.restore({k.removeprefix(own): v for k, v in arrays.items() if k.startswith(own)})

    def _voted(self) -> np.ndarray:
        if self.voted is None:
            self.voted = np.full((self.task.recipe.epochs, len(self.threats), len(CURVES)), np.nan)
        return self.voted

    def _vote(self, tasks: list[Task], states: list[RunState], epoch: int) -> np.ndarray:
        """The epoch's row: counts of flips are sums over the parts, objectives and losses means over their rows."""
        rows = np.array([len(task.y) for task in tasks], dtype=float)
        every = np.stack([state.curves[epoch] for state in states])
        found: np.ndarray = np.tensordot(rows / rows.sum(), every, 1)
        found[:, CURVES.index("flips")] = every[:, :, CURVES.index("flips")].sum(0)
        task = self.task
        counts = confusion(elected(task, states, task.x_test), task.y_test, task.model.classes)
        found[:, :2] = torch.stack([accuracy(counts), macro_f1(counts)], 1).cpu().numpy()
        if epoch >= task.recipe.epochs - tail(task.recipe.epochs):
            x, y = looked_at(task)
            counts = confusion(elected(task, states, x), y, task.model.classes)
            found[:, LEARNED] = accuracy(counts).cpu().numpy()
        return found


def elected(task: Task, states: list[RunState], x: Tensor) -> Int[Tensor, "n r"]:
    """What the models of each replica vote for; of equally many votes, the lower label wins."""
    model = task.model
    found = []
    for rows in x.split(model.chunk):
        first = torch.stack([model.logits(state.params, rows).max(1).indices for state in states], 2)
        found.append(voting.counts(first.flatten(0, 1), model.classes).argmax(1).view(first.shape[:2]))
    return torch.cat(found)
