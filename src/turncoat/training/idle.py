"""What does nothing: fields of a threat that its setting makes idle, and budgets that round down to no flip.

One account of it for the command line and experiment files, which refuse it, and for ``train``, which warns.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Int
from torch import Tensor

from turncoat.attack.selection import PLANNED, Selection, resolve
from turncoat.defence import access, guards
from turncoat.errors import shown, up
from turncoat.federation.attacks import GRADIENT_ATTACKS
from turncoat.federation.federation import Federation
from turncoat.federation.imitation import imitated
from turncoat.federation.partition import deal
from turncoat.fields import descriptions
from turncoat.randomness import generator
from turncoat.recipe import Recipe
from turncoat.threat import Threat

When = Callable[[Threat, Recipe, Federation], bool]


@dataclasses.dataclass(frozen=True)
class Idle:
    """Fields that do nothing where ``when`` holds, and why."""

    fields: tuple[str, ...]
    when: When
    because: str


def _forges(threat: Threat, recipe: Recipe, federation: Federation) -> bool:
    return threat.selection in GRADIENT_ATTACKS


def _blind(threat: Threat, recipe: Recipe, federation: Federation) -> bool:
    if threat.selection in GRADIENT_ATTACKS:
        return True
    if threat.selection == PLANNED or imitated(threat.selection):
        return False
    rule = resolve(threat.selection)
    return isinstance(rule, Selection) and rule.needs == "nothing"


def _sees_through(threat: Threat, recipe: Recipe, federation: Federation) -> bool:
    """Whether the optimal flips are exact for the server's step as it is."""
    return recipe.optimizer == "sgd" and federation.aggregator == "mean" and not guards(recipe.defence)


IDLE = (
    Idle(
        tuple(descriptions(Threat)),
        lambda threat, recipe, federation: threat.is_clean and not federation.workers,
        "write_access is 0, so there is no attacker; set write_access above 0",
    ),
    Idle(
        tuple(descriptions(Threat)),
        lambda threat, recipe, federation: threat.is_clean,
        "no worker is hostile, so there is no attacker; set hostile to 1 or more",
    ),
    Idle(
        ("local_budget", "schedule"),
        _forges,
        "selection {selection!r} forges messages and flips no labels; set selection to 'optimal'",
    ),
    Idle(
        ("goal", "knowledge", "aware"),
        _blind,
        "selection {selection!r} looks at nothing; set selection to 'optimal'",
    ),
    Idle(
        ("goal",),
        lambda threat, recipe, federation: imitated(threat.selection) is not None,
        "selection {selection!r} wants what the attack wants that it imitates; set selection to 'optimal'",
    ),
    Idle(
        ("placement", "knowledge", "aware"),
        lambda threat, recipe, federation: threat.schedule == "once",
        "with schedule 'once' the flips are chosen before training; set schedule to 'epoch'",
    ),
    Idle(
        ("aware",),
        lambda threat, recipe, federation: threat.selection == PLANNED,
        "selection 'planned' looks at neither aggregators nor defences; set selection to 'optimal'",
    ),
    Idle(
        ("aware",),
        _sees_through,
        "optimizer 'sgd' steps along the mean gradient itself; set optimizer to 'adam', or give workers and an"
        " aggregator other than 'mean', or a defence that drops labels, such as 'knn:10'",
    ),
    Idle(
        ("held_out",),
        lambda threat, recipe, federation: not recipe.patience,
        "patience is 0, so nothing is held out; set patience above 0",
    ),
)


def idle_fields(threat: Threat, recipe: Recipe, federation: Federation) -> dict[str, str]:
    """Every field that does nothing here, and why."""
    found: dict[str, str] = {}
    for idle in IDLE:
        if idle.when(threat, recipe, federation):
            found |= dict.fromkeys(
                (name for name in idle.fields if name not in found),
                idle.because.format(selection=threat.selection),
            )
    return found


@dataclasses.dataclass(frozen=True)
class Reach:
    """The most labels that a threat can flip in one round: of ``rows`` it may write to some, and flip some of these."""

    threat: Threat
    rows: int
    what: str
    writable: int

    @property
    def flips(self) -> int:
        """p."""
        return self.threat.allowance(self.writable)

    @property
    def shortage(self) -> str:
        """Why it can never flip a label, and what to raise; empty if it can."""
        if self.flips:
            return ""
        return (
            f"this threat can never flip a label: of {self.rows} {self.what} it may write to |K| = {self.writable} and"
            f" flip p = 0; {self._advice()}"
        )

    def _advice(self) -> str:
        local = self.threat.local_budget
        if local == 0:
            return "set local_budget above 0"
        least = math.ceil(round(1 / local, 9))  # rows of K for one flip
        ways = []
        if least <= self.rows:
            ways.append(f"write_access to at least {up(least / self.rows)}")
        if self.writable:
            ways.append(f"local_budget to at least {up(1 / self.writable)}")
        both = f"write_access and local_budget until they make {up(1 / self.rows)} together"
        return "raise " + (", or ".join(ways) or both)


def reach(
    threat: Threat,
    recipe: Recipe,
    federation: Federation,
    y: Int[Tensor, " n"],
    seed: int = 0,
    holder: Int[Tensor, " n"] | None = None,
) -> Reach:
    """A threat's reach over these training labels; in a federation that of the largest hostile worker."""
    if held := recipe.held(len(y)):
        left = torch.randperm(len(y), generator=generator(seed, "held out"))[held:]
        y, holder = y[left], None if holder is None else holder[left]
    n, in_steps = len(y), threat.schedule == "step"
    if not federation.workers:  # of redundant labels it writes to those of which it is the majority
        threat = dataclasses.replace(threat, write_access=access(recipe.defence, threat.write_access))
    if federation.workers:
        shards = deal(y, federation.workers, federation.partition, generator(seed, "partition"), holder)
        size = max(len(shard) for shard in shards[: federation.hostile])
        if in_steps:
            batch = recipe.batch_size * federation.local_steps
            return Reach(threat, batch, "examples of a hostile worker's batch", batch)
        return Reach(threat, size, "examples of a hostile worker", size)
    if not in_steps:
        return Reach(threat, n, "examples", threat.writable(n))
    rows = min(recipe.batch_size, n)
    # with a fixed placement its own examples may all come in one batch
    writable = min(rows, threat.writable(n)) if threat.placement == "fixed" else threat.writable(rows)
    return Reach(threat, rows, "examples of a batch", writable)


def complaints(
    given: Threat,
    placed: Threat,
    recipe: Recipe,
    federation: Federation,
    y: Int[Tensor, " n"],
    seed: int,
    holder: Int[Tensor, " n"] | None = None,
) -> Iterator[str]:
    """What of an attacker's threat does nothing, as it was given and as it is placed in the federation."""
    for name, why in idle_fields(placed, recipe, federation).items():
        if name in descriptions(Threat) and getattr(given, name) != descriptions(Threat)[name][0].default:
            yield f"{name} = {shown(getattr(given, name))} does nothing: {why}"
    if not placed.is_clean and placed.selection not in GRADIENT_ATTACKS:
        short = reach(placed, recipe, federation, y, seed, holder).shortage
        if short:
            yield short
