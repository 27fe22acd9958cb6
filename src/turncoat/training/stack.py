"""A stack's whole run: target, surrogate and main training one after the other, resumable at every step."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch

from turncoat.data.dataset import Dataset
from turncoat.federation.crowd import enlist
from turncoat.federation.federation import POOLED, Federation
from turncoat.models.stack import Model
from turncoat.planning import saving
from turncoat.randomness import generator
from turncoat.recipe import Recipe
from turncoat.threat import Threat
from turncoat.training import checkpoint, optimizers, planned, preludes
from turncoat.training.checkpoint import Arrays
from turncoat.training.federated import Federated
from turncoat.training.loop import advance
from turncoat.training.pooled import Pooled
from turncoat.training.task import RunState, Task, Way, start

GPU_CHUNKS = (
    8  # times as many examples in a pass over the data on a GPU, where a launch costs more than a cache miss
)


@dataclasses.dataclass
class StackRun:
    """The runs of one stack, in the order in which they happen; later ones are None until their turn."""

    task: Task
    target: RunState | None = None
    surrogate: RunState | None = None
    sums: preludes.Sums = dataclasses.field(default_factory=dict)
    main: RunState | None = None
    plans: list[planned.Planned] = dataclasses.field(default_factory=list)

    def advance(self) -> Iterator[int]:
        """Train to the end, yielding after each step how many replicas took it."""
        task = self.task
        if preludes.needs_target(task.threats):
            self.target = self.target or preludes.start_honest(task)
            yield from preludes.train_target(task, self.target)
            task = dataclasses.replace(task, target=self.target.params)
        if planned.plans(task.threats):
            self.plans = self.plans or planned.planners(task)
            for one in self.plans:
                yield from one.advance(task.recipe.epochs * task.way.steps(task))
            task = dataclasses.replace(task, plans=tuple(self.plans))
        if preludes.needs_scores(task.threats):
            self.surrogate = self.surrogate or preludes.start_honest(task)
            yield from preludes.sum_scores(task, self.surrogate, self.sums)
        if task.schedule == "once":
            task = dataclasses.replace(task, kept=preludes.keep_labels(task, self.sums))
        self.main = self.main or start(task)
        yield from advance(task, self.main)

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

    def to_arrays(self) -> Arrays:
        """Everything needed to go on, as named arrays."""
        arrays = {f"sums:{name}": value.numpy(force=True).copy() for name, value in self.sums.items()}
        for name in ("target", "surrogate", "main"):
            state = getattr(self, name)
            if state is not None:
                arrays |= {f"{name}:{key}": value for key, value in checkpoint.to_arrays(state).items()}
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
                setattr(self, name, state)
        if any(key.startswith("plan0:") for key in arrays):
            self.plans = planned.planners(self.task)
            for number, one in enumerate(self.plans):
                saving.restore(one.planner, _part(arrays, f"plan{number}:"))
        self.sums = {
            key.removeprefix("sums:"): torch.tensor(value, device=device)
            for key, value in arrays.items()
            if key.startswith("sums:")
        }


def _part(arrays: Arrays, start: str) -> Arrays:
    return {key.removeprefix(start): value for key, value in arrays.items() if key.startswith(start)}


@dataclasses.dataclass(frozen=True)
class Material:
    """A data set as a model eats it, on the device: shared by all stacks of a run."""

    model: Model
    x: torch.Tensor
    y: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor
    holder: torch.Tensor | None = None  # (n,) which worker holds each training example, where the data say so


def material(model: Model, data: Dataset, device: str) -> Material:
    """Prepare the features once for all stacks.

    Raises:
        TurncoatError: if there is no such device here.
    """
    moved = data.to(device)
    if device.startswith("cuda") and model.recordable:
        model = dataclasses.replace(model, chunk=GPU_CHUNKS * model.chunk)
    x, x_test = model.prepare(moved.x), model.prepare(moved.x_test)
    return Material(model, x, moved.y, x_test, moved.y_test, data.holder)


def stack_run(
    data: Material,
    recipe: Recipe,
    seed: int,
    threats: tuple[Threat, ...],
    federation: Federation = POOLED,
) -> StackRun:
    """A run of these threats, one replica each, from one seed.

    Raises:
        TurncoatError: if the federation does not fit the data.
    """
    x, y, holder = data.x, data.y, data.holder
    held = recipe.held(len(y))
    if held:
        order = torch.randperm(len(y), generator=generator(seed, "held out"))
        holder = None if holder is None else holder[order][held:]
        order = order.to(y.device)
        x, y = x[order], y[order]
    task = Task(
        model=data.model,
        recipe=recipe,
        way=way_for(federation, data.model, y[held:], recipe, seed, holder),
        optimizer=optimizers.build(recipe),
        seed=seed,
        threats=threats,
        x=x[held:],
        y=y[held:],
        x_test=data.x_test,
        y_test=data.y_test,
        x_held=x[:held],
        y_held=y[:held],
    )
    return StackRun(task)


def way_for(
    federation: Federation,
    model: Model,
    y: torch.Tensor,
    recipe: Recipe,
    seed: int,
    holder: torch.Tensor | None = None,
) -> Way:
    """How these labels' examples are trained on: pooled, or dealt out to a federation's workers."""
    if not federation.workers:
        return Pooled()
    return Federated(enlist(federation, model, y, seed, recipe.batch_size, recipe.epochs, holder))


def tiles(threats: tuple[Threat, ...], size: int) -> list[tuple[Threat, ...]]:
    """Stacks of at most ``size`` replicas whose attackers decide at the same time; clean runs come first.

    Within a stack write access falls, so that the replicas that own an example are a prefix of it.
    """
    clean = [t for t in threats if t.is_clean]
    kinds: dict[tuple[str, bool], list[Threat]] = {}
    for threat in threats:
        if not threat.is_clean:
            kinds.setdefault((threat.schedule, threat.knowledge == "surrogate"), []).append(threat)
    parts = []
    for alike in kinds.values():
        alike.sort(key=lambda t: (str(t.selection), t.goal, -t.write_access, -t.local_budget))
        alike = clean + alike
        clean = []
        count = -(-len(alike) // size)
        even = -(-len(alike) // count)
        parts += [tuple(alike[i : i + even]) for i in range(0, len(alike), even)]
    return parts or [tuple(clean)]
