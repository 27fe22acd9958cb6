"""The search for a plan: mirror descent over the reach, many plans side by side.

Every round trains in expectation, goes back for what each label is worth, and moves the plan's worths along that, with
momentum; the labels are the softmax of the worths within reach (entropic mirror descent, Nemirovski and Yudin 1983). A
round that ends above the last one lets go of the momentum and goes on in shorter steps; the best plan is kept.
"""

import dataclasses
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from turncoat.planning import ledger as ledgers
from turncoat.planning.costates import Return
from turncoat.planning.ledger import Ledger
from turncoat.planning.reach import Reach, soft_labels
from turncoat.planning.there_and_back import AnyCourse, way_back

FIRST_STEP = 0.5  # spreads of the first round's worths
LONGER, SHORTER = 1.15, 0.6
KEEP = 0.5  # of the momentum


@dataclasses.dataclass
class Search:
    """Everything that changes while plans are searched for."""

    prior: Float[
        Tensor, "c c r"
    ]  # worth of each label for examples of each class, before anything is learned
    ledger: Ledger
    step: Float[Tensor, " r"]
    judged: Float[Tensor, " r"]  # of the best plan
    last: Float[Tensor, " r"] | None = None  # objective of the last round
    scale: Float[Tensor, "phases r"] | None = None  # one over the spread of the first round's worths
    history: list[list[float]] = dataclasses.field(default_factory=list)


def begin(prior: Float[Tensor, "c c r"], course: AnyCourse) -> Search:
    """A search that starts from these worths."""
    replicas = prior.shape[2]
    device = course.x.device
    step = torch.full((replicas,), FIRST_STEP, device=device)
    return Search(prior, ledgers.blank(replicas, device), step, torch.full_like(step, torch.inf))


def search(course: AnyCourse, reach: Reach, state: Search, rounds: int, legs: int = 1) -> Iterator[int]:
    """So many rounds, in place; yields the number of each."""
    for number in range(rounds):
        soft = labels_of(course, reach, state, state.ledger.plan)
        _settle(course, reach, state, way_back(course, soft, legs, len(state.history)))
        yield number


def labels_of(
    course: AnyCourse, reach: Reach, state: Search, part: Float[Tensor, "legs r"]
) -> Float[Tensor, "phases n c r"]:
    """The soft labels of the planning rows, phase by phase."""
    prior = state.prior[course.y]
    phases = []
    for phase in range(course.phases):
        worths = ledgers.worth_of_blocks(course.model, course.x, state.ledger.legs, part, phase, reach)
        held = reach.none() if phase < course.still else reach
        phases.append(soft_labels(held, worths.add_(prior), course.y))
    return torch.stack(phases)


def _settle(course: AnyCourse, reach: Reach, state: Search, found: Return) -> None:
    """Judge the round's plan, and move on."""
    state.history.append(found.judged.tolist())
    last = found.objective if state.last is None else state.last
    worse = found.objective > last
    if state.scale is None:
        state.scale = _one_over_spread(course, reach, found)
    else:
        state.step = torch.where(worse, SHORTER * state.step, LONGER * state.step)
    better = found.judged < state.judged
    state.judged = torch.where(better, found.judged, state.judged)
    state.last = found.objective
    state.ledger.keep(better)
    state.ledger.move(found.legs, state.scale, state.step, torch.where(worse, 0.0, KEEP))
    if course.model.is_linear:
        state.ledger.fold(course.model.replica_axis)


def _one_over_spread(course: AnyCourse, reach: Reach, found: Return) -> Float[Tensor, "phases r"]:
    """Of each phase; where there are several workers, a row for each of them, all alike."""
    replicas = len(found.objective)
    one = torch.ones(len(found.legs), replicas, device=course.x.device)
    spreads = [
        ledgers.worth_of_blocks(course.model, course.x, found.legs, one, phase, reach).std((0, 1))
        for phase in range(course.phases)
    ]
    workers = max(1, len(reach.blocks))
    return (1 / torch.stack(spreads).clamp(min=1e-20)).repeat_interleave(workers, 0)
