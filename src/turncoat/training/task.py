"""What one stack trains on, and everything that changes while it trains."""

import dataclasses

import numpy as np
import torch
from torch import Tensor

from turncoat.attack.round import Report
from turncoat.direction import Params
from turncoat.federation.crowd import Crowd
from turncoat.federation.visibility import SIGNS
from turncoat.models.stack import Model, expand
from turncoat.randomness import generator
from turncoat.recipe import Recipe
from turncoat.threat import Threat
from turncoat.training.optimizers import Optimizer, Slots

CURVES = (
    "accuracy",
    "macro_f1",
    "test_loss",
    "flips",
    "objective_before",
    "objective_after",
    "cosine",
)


@dataclasses.dataclass(frozen=True)
class Task:
    """The constants of a stack: one model, one recipe, one seed, one threat per replica."""

    model: Model
    recipe: Recipe
    optimizer: Optimizer
    seed: int
    threats: tuple[Threat, ...]
    x: Tensor  # (n, ...) as the model eats it
    y: Tensor  # (n,)
    x_test: Tensor
    y_test: Tensor
    x_held: Tensor  # empty unless the recipe stops early
    y_held: Tensor
    target: Params | None = None  # a stack of one: where a targeted attacker steers to
    kept: Tensor | None = None  # (n, r) labels chosen before training, with schedule "once"
    crowd: Crowd | None = None  # the workers, in a federation

    @property
    def schedule(self) -> str:
        """When the stack's attackers decide; clean replicas, which come first, fit any schedule."""
        return self.threats[-1].schedule


@dataclasses.dataclass
class RunState:
    """Everything that changes during a run; it can be written out and read back at any step."""

    params: Params
    slots: Slots
    alive: Tensor  # (r,) which replicas still train
    curves: np.ndarray  # (epochs, replicas, len(CURVES)), NaN where a replica had stopped
    best: Tensor  # (r,) lowest held-out loss so far
    waited: Tensor  # (r,) epochs since then
    epoch: int = 0
    row: int = 0  # examples of this epoch already seen
    step: int = 0  # optimizer steps taken
    labels: Tensor | None = None  # (n, r) this round's labels
    eyes: Params | None = None  # the attacker's own model, with knowledge "surrogate"
    eyes_slots: Slots | None = None
    inside: Tensor | None = None  # (n, r) whether the attacker may write to the example, this round
    memory: Tensor | None = None  # (r, w, p) worker momentum
    samples: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0,)))  # (looks, r, w, signs)

    def note(self, columns: Tensor, seen: Report, share: float | None = None) -> None:
        """Write a round into the epoch's row; with ``share``, as one of many rounds whose mean is wanted."""
        values = torch.stack([seen.flips, seen.objective_before, seen.objective_after, seen.cosine], 1)
        first = CURVES.index("flips")
        cells = (self.alive[columns].cpu().numpy(), slice(first, first + 4))
        new = values.double().cpu().numpy()
        if share is not None:
            new[:, 1:3] *= share
            new[:, 3] = (new[:, 3] - 1) * share  # the row starts at 1: a batch without flips leaves it there
            new += self.curves[self.epoch][cells]
        self.curves[self.epoch][cells] = new


def start(task: Task) -> RunState:
    """The state before the first step; all replicas start from the same parameters."""
    replicas = len(task.threats)
    one = task.model.init(generator(task.seed, "init"), 1)
    device = task.x.device
    params = expand({k: v.to(device) for k, v in one.items()}, replicas, task.model.replica_axis)
    state = RunState(
        params=params,
        slots=task.optimizer.init(params),
        alive=torch.arange(replicas, device=device),
        curves=np.full((task.recipe.epochs, replicas, len(CURVES)), np.nan),
        best=torch.full((replicas,), torch.inf, device=device),
        waited=torch.zeros(replicas, dtype=torch.int64, device=device),
    )
    if task.crowd is not None:
        looks = (len(task.crowd.watched), replicas, len(task.crowd.shards), len(SIGNS))
        state.samples = np.full(looks, np.nan)
    if any(t.knowledge == "surrogate" for t in task.threats):
        state.eyes = {name: value.clone() for name, value in params.items()}
        state.eyes_slots = task.optimizer.init(state.eyes)
    return state


def label_dtype(classes: int) -> torch.dtype:
    """The smallest integer type that holds the labels of a whole stack."""
    return torch.uint8 if classes <= 256 else torch.int16
