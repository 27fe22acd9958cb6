"""The attacks that an audit tries, and what each did: one list, to which a stronger attack is one more entry."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat import metrics
from turncoat.analysis.estimate import estimate
from turncoat.analysis.reached import reached
from turncoat.attack.names import PLANNED
from turncoat.attack.selection import SELECTIONS
from turncoat.auditing.setting import NARROW, Setting, Told
from turncoat.direction import Params
from turncoat.federation.federation import POOLED
from turncoat.federation.tiles import tile_size
from turncoat.models.stack import Model
from turncoat.threat import CLEAN, Threat
from turncoat.training import planned
from turncoat.training.run import StackRun
from turncoat.training.stack import Training, stack_run, tiles
from turncoat.training.task import CURVES

REACHED = ("train_accuracy", "accuracy", "macro_f1")
SCORES = f"untargeted/{SELECTIONS['optimal'].needs}"  # how a stack names the scores that it has summed


@dataclasses.dataclass(frozen=True)
class Attack:
    """A rule by name, and when it decides: "once" leaves labels that can be looked at, "epoch" new ones each epoch."""

    name: str
    selection: str
    schedule: str
    told: str

    def threat(self, access: float, share: float) -> Threat:
        """The attack on this share of all labels, with this write access."""
        placement = "fixed" if self.schedule == "once" else "resampled"
        return Threat(
            access,
            min(1.0, share / access),
            selection=self.selection,
            schedule=self.schedule,
            placement=placement,
        )


CARELESS = Attack("random", "random", "once", "careless labels: rows and new labels at random")
CHOSEN_ONCE = Attack(
    "chosen once",
    "optimal",
    "once",
    "the rows that harm the training most, chosen once and left in the table",
)
EACH_EPOCH = Attack(
    "chosen each epoch",
    "optimal",
    "epoch",
    "chosen anew as the training goes, by somebody who keeps access",
)
ATTACKS: tuple[Attack, ...] = (
    CARELESS,
    CHOSEN_ONCE,
    EACH_EPOCH,
    Attack(
        "class by class",
        "class_by_class",
        "once",
        "most labels of one class after another made to read as the next, without knowing the model",
    ),
    Attack(
        "planned",
        PLANNED,
        "once",
        "the labels that a search through the whole training has found, left in the table",
    ),
)


def tried(setting: Setting) -> tuple[Attack, ...]:
    """The attacks of this audit: planning through a network's training would take longer than the rest together."""
    linear = setting.data.model.is_linear
    return tuple(attack for attack in ATTACKS if linear or attack.selection != PLANNED)


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """One threat, one seed: how good the model is at the end, and the labels it saw where they stay put."""

    threat: Threat
    seed: int
    learned: float  # accuracy on the training rows' own labels: by it attacks are chosen
    accuracy: float
    macro_f1: float
    confusion: Float[np.ndarray, "c c"]
    labels: Int[Tensor, " n"] | None


@dataclasses.dataclass(frozen=True, eq=False)
class Outcomes:
    """What came of all threats under all seeds, and of the clean run of each seed."""

    found: dict[tuple[Threat, int], Outcome]
    sums: Float[Tensor, "n c"]  # label scores summed over an honest training: what each label would do to it

    def of(self, threat: Threat) -> list[Outcome]:
        """One outcome per seed."""
        return [outcome for (own, _), outcome in self.found.items() if own == threat]

    def harm(self, threat: Threat, measure: str = "accuracy") -> list[float]:
        """What is lost against the clean run of the same seed."""
        return [
            getattr(self.found[CLEAN, one.seed], measure) - getattr(one, measure) for one in self.of(threat)
        ]


def named(setting: Setting, threat: Threat) -> str:
    """What the report calls the attack."""
    return next(attack.name for attack, _, _, own in grid(setting) if own == threat)


def strongest(outcomes: Outcomes, threats: Iterable[Threat]) -> Threat:
    """The threat that leaves least right of the training rows' own labels: the test rows have no say in it."""
    return min(threats, key=lambda one: estimate(o.learned for o in outcomes.of(one)).mean)


def grid(setting: Setting) -> list[tuple[Attack, float, float, Threat]]:
    """Every attack with all write access and with a narrow one, at every share that it allows."""
    return [
        (attack, access, share, attack.threat(access, share))
        for attack in tried(setting)
        for access in (1.0, NARROW)
        for share in setting.shares
        if share <= access and attack.threat(access, share).flips(setting.dataset.n) > 0
    ]


def run(setting: Setting, threats: Iterable[Threat], told: Told, what: str) -> Outcomes:
    """Train all threats and the clean runs, side by side."""
    wanted = (CLEAN, *dict.fromkeys(threats))
    size = tile_size(setting.data.model, POOLED, "cpu", setting.recipe.precision)
    parts = tiles(wanted, size)
    stacks = [stack_run(setting.data, setting.recipe, seed, tile) for seed in setting.seeds for tile in parts]
    for number, stack in enumerate(stacks):
        _plan_once(stack, stacks[number % len(parts)], setting.planning)
    total, done = sum(stack.steps() for stack in stacks), 0
    found: dict[tuple[Threat, int], Outcome] = {}
    sums: Tensor | None = None
    for stack in stacks:
        for steps in stack.advance():
            done += steps
            told(what, done / total)
        for outcome in _outcomes(setting, stack):
            found[outcome.threat, outcome.seed] = outcome
        if isinstance(stack, StackRun) and sums is None:
            sums = stack.sums.get(SCORES)
    return Outcomes(found, torch.zeros(setting.dataset.n, setting.dataset.classes) if sums is None else sums)


def _plan_once(stack: Training, first: Training, rounds: int) -> None:
    """Attackers plan on the first seed and follow that plan under every other, whose rows they hold are others."""
    if isinstance(stack, StackRun) and isinstance(first, StackRun) and planned.plans(stack.task.threats):
        stack.plans = planned.planners(stack.task, rounds)
        if stack is not first:
            for own, other in zip(stack.plans, first.plans, strict=True):
                own.planner.leader = other.planner


def _outcomes(setting: Setting, stack: Training) -> list[Outcome]:
    assert isinstance(stack, StackRun) and stack.main is not None
    data, task = setting.data, stack.task
    counts = confusion(data.model, stack.params(), data.x_test, data.y_test)
    curves = stack.curves()
    found = []
    for column, threat in enumerate(stack.threats):
        learned, accuracy, f1 = (reached(curves[:, column, CURVES.index(name)]) for name in REACHED)
        labels = None if stack.kept is None else stack.kept[:, column].to(torch.int64)
        found.append(Outcome(threat, task.seed, learned, accuracy, f1, counts[column].numpy(), labels))
    return found


def confusion(model: Model, params: Params, x: Tensor, y: Int[Tensor, " n"]) -> Float[Tensor, "r c c"]:
    """Counts of (true class, predicted class) of every replica."""
    parts = [
        metrics.confusion(model.logits(params, x[s : s + model.chunk]).max(1).indices, y[s : s + model.chunk],
                          model.classes)
        for s in range(0, len(x), model.chunk)
    ]  # fmt: skip
    return torch.stack(parts).sum(0)


def mean_confusion(outcomes: Sequence[Outcome]) -> Float[np.ndarray, "c c"]:
    """Shares of each true class (a row) that are predicted as each class, over the seeds."""
    counts = np.sum([one.confusion for one in outcomes], axis=0)
    shares: np.ndarray = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return shares
