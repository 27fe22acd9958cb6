"""A federation as its planner sees it: whose rows are whose, what is sent, and what the server makes of it."""

import dataclasses
import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.randomness import generator

Rule = Callable[[Tensor, Tensor], Tensor]
"""``rule(messages (r, m, p), who (m)) -> (r, p)``: the step of the workers that take part."""


@dataclasses.dataclass(frozen=True)
class Server:
    """Workers with rows of their own, the hostile ones first, and the rule by which their messages become a step.

    ``shards`` are row numbers of the planner's data: an attacker that does not know the honest workers' takes its own
    in their place. ``flips[i, j]`` is how many labels attacker j may flip of hostile worker i's in a round.
    """

    shards: tuple[Int[Tensor, " _"], ...]
    flips: Int[Tensor, "h r"]
    rule: Rule
    batch: int  # examples behind a message
    present: int  # workers that take part in a round
    local_steps: int = 1  # that a worker takes before it reports

    @property
    def hostile(self) -> int:
        """How many of the workers are hostile."""
        return len(self.flips)

    def some(self, most: int) -> tuple[Int[Tensor, " _"], ...]:
        """Some rows of each hostile worker, drawn once, about so many of all of them at most."""
        each = math.ceil(most / self.hostile)
        return tuple(
            shard[torch.randperm(len(shard), generator=draws(0, "rows", i))[:each].to(shard.device)]
            for i, shard in enumerate(self.shards[: self.hostile])
        )

    def count(self, rows: Int[Tensor, " m"]) -> list[int]:
        """How many of these rows belong to each hostile worker."""
        own = self.shards[: self.hostile]
        whose = torch.repeat_interleave(torch.tensor([len(shard) for shard in own])).to(rows.device)
        owner = whose.new_zeros(int(torch.cat(self.shards).max()) + 1)
        owner[torch.cat(own)] = whose
        return torch.bincount(owner[rows], minlength=self.hostile).tolist()

    def who(self, draw: torch.Generator) -> list[int]:
        """The workers that take part in a round, in order."""
        workers = len(self.shards)
        if self.present == workers:
            return list(range(workers))
        return sorted(torch.randperm(workers, generator=draw)[: self.present].tolist())

    def batches(self, sizes: list[int], draw: torch.Generator) -> Int[Tensor, "w b"]:
        """Places of each worker's next examples within as many of its rows."""
        turn = torch.arange(self.batch)
        return torch.stack([torch.randperm(size, generator=draw)[turn % size] for size in sizes])


def pulled_back(
    rule: Rule, messages: Float[Tensor, "r m p"], who: Int[Tensor, " m"], toward: Float[Tensor, "r p"]
) -> Float[Tensor, "r m p"]:
    """How the step's product with ``toward`` changes with each message: the rule's derivative, transposed.

    Where a rule chooses messages, its choice is held. One that keeps no account of its derivatives (written in NumPy,
    say) is taken to be the mean.
    """
    with torch.enable_grad():
        given = messages.detach().requires_grad_()
        step = rule(given, who)
        if not step.requires_grad:
            return (toward / len(who)).unsqueeze(1).expand_as(messages)
        (slope,) = torch.autograd.grad(step, given, toward)
    return slope.nan_to_num(0.0, 0.0, 0.0)  # of broken messages


def draws(seed: int, purpose: str, turn: int) -> torch.Generator:
    """The planner's own draws: those of the training are not known beforehand."""
    return generator(seed, "planning", purpose, turn)
