"""Who computes and who aggregates: workers, their data, the hostile ones among them, and the server's rule."""

import dataclasses
import math
from collections.abc import Callable, Hashable
from typing import Any

from turncoat import errors
from turncoat.federation.names import chained_names, partition_kind
from turncoat.fields import described

WEIGHTINGS = ("equal", "size")


@errors.known_arguments
@dataclasses.dataclass(frozen=True)
class Federation:
    """Workers that send messages each round and a server that aggregates them; 0 workers: all data pooled.

    Raises:
        TurncoatError: for numbers that do not fit together, a partition or an aggregator that does not exist.
    """

    workers: int = described(0, "workers that hold the data; 0: one server trains on all of it")
    hostile: int = described(0, "how many of the workers are hostile")
    partition: str = described(
        "iid", "how data are dealt out: iid, dirichlet:ALPHA, shards:M, or given by the data"
    )
    local_steps: int = described(
        1, "steps a worker takes before it reports; 1: gradients (FedSGD), more: differences (FedAvg)"
    )
    aggregator: str | Callable[..., Any] = described(
        "mean", "the server's rule, a chain such as nnm+trimmed_mean, or MODULE:CALLABLE of your own"
    )
    tolerated: int = described(-1, "f, the number of hostile workers the rule is set for; -1: all of them")
    worker_momentum: float = described(0.0, "momentum that workers apply to what they send, 0 to below 1")
    participation: float = described(
        1.0, "share of the workers that take part in a round, drawn anew for each"
    )
    weighting: str = described(
        "equal", "what a message counts in the mean; size: as many examples as its worker holds", WEIGHTINGS
    )

    def __post_init__(self) -> None:
        for name, least in (("workers", 0), ("hostile", 0), ("local_steps", 1), ("tolerated", -1)):
            object.__setattr__(self, name, errors.whole(getattr(self, name), name, least))
        momentum = errors.share(self.worker_momentum, "worker_momentum")
        object.__setattr__(self, "worker_momentum", momentum)
        object.__setattr__(self, "participation", errors.share(self.participation, "participation"))
        errors.choose(self.weighting, WEIGHTINGS, "weighting")
        if momentum == 1:
            raise errors.TurncoatError("worker_momentum is 1, but must be below 1, such as 0.9")
        if self.workers == 0:
            self._check_pooled()
        else:
            self._check_crowd()

    def _check_pooled(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, type(field.default)) or value != field.default:
                raise errors.TurncoatError(
                    f"{field.name} = {errors.shown(value)} needs workers: give workers too, such as workers = 10"
                )

    def _check_crowd(self) -> None:
        errors.text(self.partition, "partition")
        if isinstance(self.aggregator, type) or not callable(self.aggregator):
            errors.text(self.aggregator, "aggregator")
        elif not isinstance(self.aggregator, Hashable):  # federations are told apart by all of their fields
            raise errors.TurncoatError(
                f"aggregator is {errors.shown(self.aggregator)}, which cannot be hashed: give its class a __hash__"
            )
        if not self.participation:
            raise errors.TurncoatError("participation is 0, so nobody sends anything: give a share above 0")
        if self.weighting == "size" and self.aggregator != "mean":
            raise errors.TurncoatError(
                f"weighting 'size' is for aggregator 'mean', but it is {errors.shown(self.aggregator)}: no robust rule"
                " trusts what workers say of their size; use 'equal'"
            )
        self._check_names()
        if self.hostile > self.workers:
            raise errors.TurncoatError(
                f"hostile is {self.hostile}, but there are only {self.workers} workers: give at most that many"
            )

    def _check_names(self) -> None:
        partition_kind(self.partition)
        if isinstance(self.aggregator, str):
            chained_names(self.aggregator)

    @property
    def present(self) -> int:
        """How many workers take part in a round."""
        return math.ceil(round(self.participation * self.workers, 9))

    @property
    def f(self) -> int:
        """How many hostile workers of a round the rule is set for: as a rule those to be expected, rounded up."""
        if self.tolerated >= 0 or not self.workers:
            return max(self.tolerated, 0)
        return -(-self.hostile * self.present // self.workers)

    @property
    def write_access(self) -> float:
        """k = h / w."""
        return self.hostile / self.workers if self.workers else 0.0


POOLED = Federation()
