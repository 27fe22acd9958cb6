"""What one stack trains on, how it gets through an epoch, and everything that changes while it trains."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.attack.round import Report
from turncoat.defences.guard import Guard
from turncoat.direction import Params
from turncoat.federation.aware import Sample
from turncoat.models.columns import Columns
from turncoat.models.stack import Model, expand, moved
from turncoat.planning.server import Server
from turncoat.randomness import generator
from turncoat.recipe import Recipe
from turncoat.threat import SLIP, Threat
from turncoat.training import optimizers
from turncoat.training.optimizers import Optimizer, Slots

CURVES = (
    "accuracy",
    "macro_f1",
    "test_loss",
    "flips",
    "objective_before",
    "objective_after",
    "cosine",
    "train_accuracy",  # against clean labels, where the last 10 % of the epochs may be
    # of models that act differently while they train, with the gradients of that mode; NaN of all others
    "objective_before_in_training",
    "objective_after_in_training",
)
IN_TRAINING = slice(CURVES.index("objective_before_in_training"), len(CURVES))


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows an attacker's turn is about: all examples, or one batch; ``order`` is what write access is cut from."""

    x: Tensor
    y: Int[Tensor, " n"]
    order: Int[Tensor, " n"]
    sizes: Int[Tensor, " g"]  # |K| per replica of a group
    blocks: tuple[tuple[int, int], ...] | None = (
        None  # the order's rows per hostile worker, each with its budget
    )
    honest: tuple[tuple[int, int], ...] = ()  # the order's rows per honest worker, in a federation
    sample: Sample | None = None  # on which an aware attacker tries flips against the server's rule
    own: Tensor | None = (
        None  # x in the order, for as many rows as any replica may write to, where it is at hand
    )

    def to_read(self, members: Int[Tensor, " m"]) -> tuple[Tensor, Int[Tensor, " m"] | None]:
        """Where to read the members: features, and their places in them unless these are theirs alone."""
        return (self.x, members) if self.own is None else (self.own, None)

    def parts(self, replica: int) -> tuple[tuple[int, int], ...]:
        """Where in the order the replica's own rows stand, each part with a budget of its own."""
        return self.blocks if self.blocks is not None else ((0, int(self.sizes[replica])),)


@dataclasses.dataclass(frozen=True)
class Group:
    """Replicas that decide alike, by falling write access: their threats, and where they stand in the stack."""

    threats: tuple[Threat, ...]
    columns: Int[Tensor, " g"]

    def writable(self, n: int) -> Int[Tensor, " g"]:
        """|K| of each threat, of ``n`` examples."""
        return _whole_part(self._access * n)

    def allowances(self, sizes: Int[Tensor, " g"]) -> Int[Tensor, " g"]:
        """How many flips each threat has in a round where it may write to so many examples."""
        return _whole_part(self._budgets * sizes)

    # read once, since with schedule "step" every step asks
    @functools.cached_property
    def _access(self) -> Float[Tensor, " g"]:
        return self._numbers([threat.write_access for threat in self.threats])

    @functools.cached_property
    def _budgets(self) -> Float[Tensor, " g"]:
        return self._numbers([threat.local_budget for threat in self.threats])

    def _numbers(self, shares: list[float]) -> Float[Tensor, " g"]:
        return torch.tensor(shares, dtype=torch.float64, device=self.columns.device)


def _whole_part(values: Float[Tensor, " g"]) -> Int[Tensor, " g"]:
    """As ``Threat`` rounds shares of sizes."""
    return (values + SLIP).floor().long()


@runtime_checkable
class Way(Protocol):
    """How a stack gets through an epoch, batch by batch: ``Pooled`` on one server, or ``Federated`` over workers."""

    @property
    def repeats(self) -> bool:
        """Whether the same kernels do for every step while labels stay as they are."""

    def steps(self, task: "Task") -> int:
        """How many steps an epoch takes."""

    def batches(self, task: "Task", epoch: int, done: int, many: int) -> Iterator[tuple[int, Tensor]]:
        """The epoch's batches from ``done`` on, ``many`` at a time or one; and the state's ``row`` after them."""

    def turns(self, task: "Task") -> tuple[int, ...]:
        """The values of ``row`` at which an epoch's rounds begin, where these are not its steps."""

    def pool(self, task: "Task", threats: Sequence[Threat], epoch: int) -> Rows:
        """All examples, in the order from which these threats, which decide alike, cut what they may write to."""

    def server(self, task: "Task", threats: Sequence[Threat]) -> Server | None:
        """The federation as these threats, which know the same, plan against it; None where there is none."""

    def step(self, task: "Task", state: "RunState", rows: Tensor) -> None:
        """Take one step of every replica on these rows, the attacker's turn in it with schedule "step"."""

    def samples(self, replicas: int) -> np.ndarray:
        """Room for what is looked at while training: (looks, replicas, workers, signs)."""


@runtime_checkable
class Planning(Protocol):
    """What some attackers of a stack have planned for the whole training."""

    @property
    def replicas(self) -> tuple[int, ...]:
        """Whose plan it is."""

    def labels(
        self, replica: int, threat: Threat, rows: Rows, turn: int, parts: tuple[tuple[int, int], ...]
    ) -> Iterator[tuple[int, int, Int[Tensor, " m"]]]:
        """One attacker's labels in a round, for each of the parts of the order that it may write to."""


@dataclasses.dataclass(frozen=True)
class Task:
    """The constants of a stack: one model, one recipe, one seed, one threat per replica."""

    model: Model
    recipe: Recipe
    way: Way
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
    plans: Sequence[Planning] | None = None  # of attackers that plan the whole training
    guard: Guard | None = None  # what the learner does against wrong labels, beside its loss
    columns: Columns | None = (
        None  # of the features that were given, where x leaves out some that are never used
    )
    low: Tensor | None = None  # x in bfloat16, where a step's products are

    @functools.cached_property
    def optimizer(self) -> Optimizer:
        """What takes the recipe's steps."""
        return optimizers.build(self.recipe, self.model.replica_axis, self.way.steps(self))

    @property
    def fed(self) -> Tensor:
        """The features as steps read them."""
        return self.x if self.low is None else self.low

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
    samples: np.ndarray  # (looks, replicas, workers, signs) of a federation's messages
    epoch: int = 0
    row: int = 0  # examples of this epoch already seen
    step: int = 0  # optimizer steps taken
    labels: Tensor | None = None  # (n, r) this round's labels
    eyes: Params | None = None  # the attacker's own model, with knowledge "surrogate"
    eyes_slots: Slots | None = None
    counted: Tensor | None = None  # (n, r) which of this round's labels a guarded learner uses
    inside: Tensor | None = None  # (n, r) whether the attacker may write to the example, this round
    memory: Tensor | None = None  # (r, w, p) worker momentum
    # with schedule "step", made again where they are not there:
    groups: tuple[Group, ...] | None = None  # of the replicas that train now
    ranks: Tensor | None = None  # (n,) where each example stands in the order of a fixed placement

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

    def note_in_training(
        self, columns: Tensor, objectives: tuple[Tensor, Tensor], share: float | None = None
    ) -> None:
        """Write a round's objectives in training mode beside the others, in the same way."""
        cells = (self.alive[columns].cpu().numpy(), IN_TRAINING)
        new = torch.stack(objectives, 1).double().cpu().numpy()
        self.curves[self.epoch][cells] = (
            new if share is None else new * share + self.curves[self.epoch][cells]
        )


def start(task: Task) -> RunState:
    """The state before the first step; all replicas start from the same parameters."""
    replicas = len(task.threats)
    one = task.model.init(generator(task.seed, "init"), 1)
    device = task.x.device
    params = expand({k: v.to(device) for k, v in one.items()}, replicas, task.model.replica_axis)
    state = RunState(
        params=params,
        slots=task.optimizer.init(moved(task.model, params)),
        alive=torch.arange(replicas, device=device),
        curves=np.full((task.recipe.epochs, replicas, len(CURVES)), np.nan),
        best=torch.full((replicas,), torch.inf, device=device),
        waited=torch.zeros(replicas, dtype=torch.int64, device=device),
        samples=task.way.samples(replicas),
    )
    if any(t.knowledge == "surrogate" for t in task.threats):
        state.eyes = {name: value.clone() for name, value in params.items()}
        state.eyes_slots = task.optimizer.init(state.eyes)
    return state


def label_dtype(classes: int) -> torch.dtype:
    """The smallest integer type that holds the labels of a whole stack."""
    return torch.uint8 if classes <= 256 else torch.int16
