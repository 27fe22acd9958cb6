"""A stack's whole run: target, surrogate and main training one after the other, resumable at every step."""

import dataclasses
from collections.abc import Callable, Generator, Iterator

import numpy as np
import torch
from torch import Tensor

from turncoat.direction import Params
from turncoat.models.stack import moved, zeros
from turncoat.planning import saving
from turncoat.randomness import generator
from turncoat.threat import Threat
from turncoat.training import checkpoint, planned, preludes
from turncoat.training.checkpoint import Arrays
from turncoat.training.loop import advance
from turncoat.training.task import RunState, Task, start


@dataclasses.dataclass
class StackRun:
    """The runs of one stack, in the order in which they happen; later ones are None until their turn."""

    task: Task
    threats: tuple[
        Threat, ...
    ]  # as they were asked for; the task's are as they are, where labels are redundant
    target: RunState | None = None
    surrogate: RunState | None = None
    sums: preludes.Sums = dataclasses.field(default_factory=dict)
    main: RunState | None = None
    plans: list[planned.Planned] = dataclasses.field(default_factory=list)
    kept: Tensor | None = None  # (n, r) labels that stay put: chosen before training, here or elsewhere

    def advance(self) -> Iterator[int]:
        """Train to the end, yielding after each step how many replicas took it."""
        task = yield from self.prepared()
        self.main = self.main or start(task)
        yield from advance(task, self.main)

    def prepared(self) -> Generator[int, None, Task]:
        """All that comes before the main training; the task with what it found."""
        task = self.task
        if preludes.needs_target(task.threats):
            self.target = self.target or preludes.start_honest(task)
            yield from preludes.train_target(task, self.target)
            task = dataclasses.replace(task, target=moved(task.model, self.target.params))
        if self.kept is not None:
            return dataclasses.replace(task, kept=self.kept)
        if planned.plans(task.threats):
            self.plans = self.plans or planned.planners(task)
            for one in self.plans:
                yield from one.advance(task.recipe.epochs * task.way.steps(task))
            task = dataclasses.replace(task, plans=tuple(self.plans))
        if preludes.needs_scores(task.threats):
            self.surrogate = self.surrogate or preludes.start_honest(task)
            yield from preludes.sum_scores(task, self.surrogate, self.sums)
        if task.schedule == "once":
            self.kept = preludes.keep_labels(task, self.sums)
            task = dataclasses.replace(task, kept=self.kept)
        return task

    def steps(self) -> int:
        """How many replica-steps the whole run takes at most; early stopping may leave some out."""
        task = self.task
        extra = preludes.needs_target(task.threats) + preludes.needs_scores(task.threats)
        extra += planned.count(task.threats)
        return task.recipe.epochs * task.way.steps(task) * (len(task.threats) + extra)

    def curves(self) -> np.ndarray:
        """(epochs, replicas, curves) once the run is over; NaN after a replica stopped early."""
        assert self.main is not None
        return self.main.curves

    def samples(self) -> np.ndarray:
        """(looks, replicas, workers, signs) once the run is over, of a federation: what detection looks at."""
        assert self.main is not None
        return self.main.samples

    def params(self) -> Params:
        """The stack's parameters by now, whole: also of features that training left out."""
        assert self.main is not None
        return whole(self.task, self.main).params

    def to_arrays(self) -> Arrays:
        """Everything needed to go on, as named arrays."""
        arrays = {f"sums:{name}": value.numpy(force=True).copy() for name, value in self.sums.items()}
        for name in ("target", "surrogate", "main"):
            state = getattr(self, name)
            if state is not None:
                arrays |= {
                    f"{name}:{key}": value
                    for key, value in checkpoint.to_arrays(whole(self.task, state)).items()
                }
        for number, one in enumerate(self.plans):
            arrays |= {f"plan{number}:{key}": v for key, v in saving.to_arrays(one.planner).items()}
        return arrays

    def restore(self, arrays: Arrays) -> None:
        """Go on from what ``to_arrays`` gave."""
        device = self.task.x.device
        for name in ("target", "surrogate", "main"):
            own = _part(arrays, f"{name}:")
            if own:
                state = start(self.task) if name == "main" else preludes.start_honest(self.task)
                checkpoint.from_arrays(state, own)
                setattr(self, name, cut(self.task, state))
        if any(key.startswith("plan0:") for key in arrays):
            self.plans = planned.planners(self.task)
            for number, one in enumerate(self.plans):
                saving.restore(one.planner, _part(arrays, f"plan{number}:"))
        self.sums = {
            key.removeprefix("sums:"): torch.tensor(value, device=device)
            for key, value in arrays.items()
            if key.startswith("sums:")
        }


def whole(task: Task, state: RunState) -> RunState:
    """The state with whole parameters: as they are where a run is written down or handed on."""
    columns = task.columns
    if columns is None:
        return state
    start = columns.model.init(generator(task.seed, "init"), 1)
    start = {name: value.to(task.x.device) for name, value in start.items()}
    return _mapped(
        state, lambda params: columns.whole(params, start), lambda p: columns.whole(p, zeros(start))
    )


def cut(task: Task, state: RunState) -> RunState:
    """The state with the parameters of the columns alone that are trained on."""
    columns = task.columns
    return state if columns is None else _mapped(state, columns.cut, columns.cut)


Change = Callable[[Params], Params]


def _mapped(state: RunState, change: Change, change_slot: Change) -> RunState:
    slots, eyes = state.slots, state.eyes_slots
    return dataclasses.replace(
        state,
        params=change(state.params),
        slots={name: change_slot(slot) for name, slot in slots.items()},
        eyes=None if state.eyes is None else change(state.eyes),
        eyes_slots=None if eyes is None else {name: change_slot(slot) for name, slot in eyes.items()},
    )


def _part(arrays: Arrays, start: str) -> Arrays:
    return {key.removeprefix(start): value for key, value in arrays.items() if key.startswith(start)}
