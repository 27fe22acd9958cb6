"""Plans as functions: the soft labels of any rows, phase by phase, for a stack of attackers."""

import dataclasses

from jaxtyping import Float, Int
from torch import Tensor

from turncoat.models.stack import Model, take
from turncoat.planning import ledger
from turncoat.planning.costates import Leg
from turncoat.planning.reach import Reach, soft_labels


@dataclasses.dataclass(frozen=True, eq=False)
class Policy:
    """Worths of labels by example and phase; the softmax of them within a reach is the plan.

    ``prior[y]`` is a label's worth for examples of class y, ``legs`` with their ``weights`` add what planning found.
    ``ends`` has the round after each phase's last; ``basis`` the directions in which the legs' models see features.
    """

    model: Model
    prior: Float[Tensor, "c c r"]
    legs: tuple[Leg, ...]
    weights: Float[Tensor, "legs r"]
    ends: tuple[int, ...]
    basis: Float[Tensor, "d m"] | None = None
    still: int = 0  # first phases in which nothing is flipped

    @property
    def replicas(self) -> int:
        """How many attackers there are."""
        return self.weights.shape[1]

    def phase(self, turn: int) -> int:
        """The phase of a round; rounds after the last phase belong to it."""
        return next((i for i, end in enumerate(self.ends) if turn < end), len(self.ends) - 1)

    def soft_labels(
        self, x: Tensor, y: Int[Tensor, " n"], phase: int, reach: Reach
    ) -> Float[Tensor, "n c r"]:
        """The plan's labels for these rows, as the model eats them; with blocks, worker by worker."""
        seen = x if self.basis is None else x @ self.basis
        if phase < self.still:
            reach = reach.none()
        worth = ledger.worth_of_blocks(self.model, seen, list(self.legs), self.weights, phase, reach)
        return soft_labels(reach, worth.add_(self.prior[y]), y)

    def of(self, replicas: Int[Tensor, " s"]) -> "Policy":
        """The policy of some attackers, in that order."""
        axis = self.model.replica_axis
        legs = tuple(
            Leg(leg.phase, take(leg.params, replicas, axis), take(leg.direction, replicas, axis))
            for leg in self.legs
        )
        return dataclasses.replace(
            self, prior=self.prior[:, :, replicas], legs=legs, weights=self.weights[:, replicas]
        )
