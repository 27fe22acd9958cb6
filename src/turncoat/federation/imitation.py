"""How near label flips alone come to a gradient attack: the labels whose message is nearest to the attack's.

Cross-entropy's gradient is affine in soft labels, so min ‖g(q) - g*‖² over those within the budget is a convex
quadratic. Frank and Wolfe's method (1956) solves it with the label scores along the residual: the best vertex of the
reach is the optimal selection's labels, and the line search is exact. Its gap bounds from below how near *any* flips
within the budget can come.
"""

import dataclasses
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.attack.proposals import propose_optimal
from turncoat.attack.round import mean_gradient
from turncoat.attack.spending import spend
from turncoat.direction import Params
from turncoat.federation.attacks import GRADIENT_ATTACKS
from turncoat.federation.messages import pack, unpack
from turncoat.losses import at_labels
from turncoat.models.stack import Model, moved, zeros

STEPS = 60  # of Frank and Wolfe
CLOSE = 1e-4  # of the squared distance: a smaller gap is none
DRAWS = 8  # of labels from the soft ones, the nearest of which is kept
EXCHANGES = 40  # of some rows' labels, after which no single one is likely to lead nearer


@dataclasses.dataclass(frozen=True)
class Nearest:
    """The labels found, and how far from the wanted message theirs is: ``bound`` ≤ ``relaxed`` ≤ ``distance``.

    ``relaxed`` is the distance of the best soft labels found, ``bound`` what no labels within the budget can beat.
    """

    labels: Int[Tensor, "m r"]
    message: Float[Tensor, "r p"]
    distance: Float[Tensor, " r"]
    relaxed: Float[Tensor, " r"]
    bound: Float[Tensor, " r"]


def wanted_message(
    attack: str,
    model: Model,
    params: Params,
    honest: list[tuple[Tensor, Int[Tensor, " _"]]],
    hostile: int,
    generator: torch.Generator,
) -> Float[Tensor, "r p"]:
    """What each hostile worker would send in the attack, given the honest workers' rows and labels."""
    sent = []
    for x, y in honest:
        replicas = next(iter(params.values())).shape[next(iter(model.replica_axis.values()))]
        labels = y.unsqueeze(1).expand(-1, replicas)
        sent.append(pack(model, mean_gradient(model, params, x, labels)))
    return GRADIENT_ATTACKS[attack](torch.stack(sent, 1), hostile, generator)[:, 0]


def nearest(
    model: Model,
    params: Params,
    x: Tensor,
    labels: Int[Tensor, " m"],
    wanted: Float[Tensor, "r p"],
    flips: Int[Tensor, " r"],
    generator: torch.Generator,
) -> Nearest:
    """The labels of these rows, at most ``flips`` of them changed, whose mean gradient is nearest to ``wanted``."""
    worker = _Worker(model, params, x, labels, flips)
    start = worker.message(labels.unsqueeze(1).repeat(1, len(flips)))
    soft = worker.one_hot(labels.unsqueeze(1).expand(-1, len(flips)))
    gap = start - wanted
    chosen, distance = labels.unsqueeze(1).repeat(1, len(flips)), gap.norm(dim=1)
    bound = torch.zeros_like(distance)
    for _ in range(STEPS):
        vertex = worker.vertex(gap)
        step = worker.one_hot(vertex) - soft
        moved = worker.pulled(-step)
        fall, square = -(gap * moved).sum(1), gap.square().sum(1)
        # every message within reach lies on the far side of the plane that the vertex touches
        bound = torch.maximum(bound, (square - fall) / square.sqrt().clamp(min=1e-30))
        chosen, distance = _nearer((chosen, distance), vertex, (gap + moved).norm(dim=1))
        share = (fall / moved.square().sum(1).clamp(min=1e-30)).clamp(0, 1)
        share = torch.where(fall > CLOSE * square, share, 0.0)
        if not share.any():
            break
        soft = soft + share * step
        gap = gap + share.unsqueeze(1) * moved
    for candidate in worker.rounded(soft, generator):
        apart = (worker.message(candidate) - wanted).norm(dim=1)
        chosen, distance = _nearer((chosen, distance), candidate, apart)
    chosen = _exchanged(worker, wanted, chosen)
    message = worker.message(chosen)
    return Nearest(chosen, message, (message - wanted).norm(dim=1), gap.norm(dim=1), bound)


def _exchanged(
    worker: "_Worker", wanted: Float[Tensor, "r p"], labels: Int[Tensor, "m r"]
) -> Int[Tensor, "m r"]:
    """Labels at least as near: many rows change at once for as long as that helps, then half as many."""
    many = torch.full_like(worker.flips, max(1, len(labels) // 4))
    gap = worker.message(labels) - wanted
    for _ in range(EXCHANGES):
        candidate = worker.moved(labels, gap, many)
        other = worker.message(candidate) - wanted
        better = other.norm(dim=1) < gap.norm(dim=1)
        labels = torch.where(better, candidate, labels)
        gap = torch.where(better.unsqueeze(1), other, gap)
        many = torch.where(better, many, many // 2)
        if not many.any():
            break
    return labels


def _nearer(
    best: tuple[Tensor, Tensor], labels: Int[Tensor, "m r"], distance: Float[Tensor, " r"]
) -> tuple[Tensor, Tensor]:
    better = distance < best[1]
    return torch.where(better, labels, best[0]), torch.where(better, distance, best[1])


@dataclasses.dataclass(frozen=True)
class _Worker:
    """One worker's rows, for a stack of replicas, each with its own number of flips."""

    model: Model
    params: Params
    x: Tensor
    labels: Int[Tensor, " m"]
    flips: Int[Tensor, " r"]

    def one_hot(self, labels: Int[Tensor, "m r"]) -> Float[Tensor, "m c r"]:
        dtype = next(iter(self.params.values())).dtype
        return torch.nn.functional.one_hot(labels.long(), self.model.classes).transpose(1, 2).to(dtype)

    def message(self, labels: Int[Tensor, "m r"]) -> Float[Tensor, "r p"]:
        """What the worker sends for these labels."""
        return pack(self.model, mean_gradient(self.model, self.params, self.x, labels))

    def pulled(self, rest: Float[Tensor, "m c r"]) -> Float[Tensor, "r p"]:
        """What this much more residual adds to the message."""
        total = zeros(moved(self.model, self.params))
        for rows in self._chunks():
            self.model.pullback(self.params, self.x[rows])(rest[rows], total, 1.0 / len(self.x))
        return pack(self.model, total)

    def vertex(self, gap: Float[Tensor, "r p"]) -> Int[Tensor, "m r"]:
        """The labels within the budget that lead the message farthest against the gap."""
        stacked = self.labels.unsqueeze(1).expand(-1, len(self.flips))
        proposed, priority = propose_optimal(self._scores(gap), stacked, torch.Generator())
        return self._spent(proposed, priority, self.flips)

    def moved(
        self, labels: Int[Tensor, "m r"], gap: Float[Tensor, "r p"], many: Int[Tensor, " r"]
    ) -> Int[Tensor, "m r"]:
        """These labels with the ``many`` best changes against the gap; the flips worth least make room for new ones."""
        scores = self._scores(gap)
        best, gain = propose_optimal(scores, labels, torch.Generator())
        rank = gain.argsort(0).argsort(0)
        new = torch.where((rank < many) & gain.isfinite(), best.to(labels.dtype), labels)
        honest = self.labels.unsqueeze(1).expand_as(new)
        worth = (
            scores.gather(1, new.long().unsqueeze(1)) - scores.gather(1, honest.long().unsqueeze(1))
        ).squeeze(1)
        return self._spent(new, worth.masked_fill(new == honest, torch.inf), self.flips)

    def _scores(self, gap: Float[Tensor, "r p"]) -> Float[Tensor, "m c r"]:
        """What each label adds to the message along the gap, the less the better."""
        toward = unpack(self.model, -gap, moved(self.model, self.params))
        return torch.cat([self.model.scores(self.params, self.x[rows], toward) for rows in self._chunks()])

    def rounded(
        self, soft: Float[Tensor, "m c r"], generator: torch.Generator
    ) -> Iterator[Int[Tensor, "m r"]]:
        """Labels near the soft ones: those flipped most, then systematic draws (Madow 1949), all within budget."""
        own = at_labels(self.labels, soft)
        mass = 1 - soft.gather(1, own).squeeze(1)
        total = mass.sum(0).round().to(self.flips.dtype).minimum(self.flips)
        others = soft.scatter(1, own, 0.0)
        yield self._spent(others.argmax(1), -mass, total)
        below = others.cumsum(1)
        for _ in range(DRAWS):
            u = torch.rand(len(mass) + 1, 1, generator=generator, dtype=torch.float64).to(mass.device)
            passed = torch.cat([u[:1].expand(1, mass.shape[1]), u[0] + mass.double().cumsum(0)]).floor()
            hit = passed[1:] > passed[:-1]
            label = (below > (u[1:] * below[:, -1]).unsqueeze(1)).to(torch.uint8).argmax(1)
            yield self._spent(label, torch.where(hit, -mass, torch.inf), self.flips)

    def _spent(
        self, proposed: Int[Tensor, "m r"], priority: Float[Tensor, "m r"], flips: Int[Tensor, " r"]
    ) -> Int[Tensor, "m r"]:
        columns = [
            spend(proposed[:, j].to(self.labels.dtype), priority[:, j], self.labels, count)
            for j, count in enumerate(flips.tolist())
        ]
        return torch.stack(columns, 1)

    def _chunks(self) -> Iterator[slice]:
        for start in range(0, len(self.x), self.model.chunk):
            yield slice(start, start + self.model.chunk)
