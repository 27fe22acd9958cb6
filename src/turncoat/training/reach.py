"""How many labels a threat reaches: budgets that round down to no flip do nothing."""

import dataclasses
import math
from collections.abc import Iterator

import torch
from jaxtyping import Int
from torch import Tensor

from turncoat.defence import access
from turncoat.errors import shown, up
from turncoat.federation.federation import Federation
from turncoat.federation.names import forges
from turncoat.federation.partition import deal
from turncoat.fields import descriptions
from turncoat.randomness import generator
from turncoat.recipe import Recipe
from turncoat.threat import Threat
from turncoat.training.idle import idle_fields


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
    if not placed.is_clean and not forges(placed.selection):
        short = reach(placed, recipe, federation, y, seed, holder).shortage
        if short:
            yield short
