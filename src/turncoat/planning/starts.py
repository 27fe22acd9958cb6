"""Where the search for a plan sets out from: it is not convex, and ends differ."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.attack.round import mean_gradient
from turncoat.direction import Params, untargeted
from turncoat.models.stack import expand, take
from turncoat.planning import ledger as ledgers
from turncoat.planning.costates import Leg
from turncoat.planning.course import Course, trajectory
from turncoat.planning.descent import Search, begin
from turncoat.planning.ledger import Ledger
from turncoat.planning.reach import Reach, soft_labels
from turncoat.planning.scene import Scene
from turncoat.planning.there_and_back import AnyCourse, outcome

EVEN, ROUNDS, CLASSES = "random flips", "the attack round by round", "class by class"
NEXT, QUIET = "every label to the next class", "few flips"
SHARES = (0.5, 0.65, 0.8)  # of a class, relabelled; class after class
TARGETS = 2  # classes that are tried as the label of all others
FEW = 0.1  # share of the flips with which a start stays quiet: some rules throw out messages that stand out
SOFT = 0.1  # share of a class-by-class start that is even, so that the search can leave it
SHARP = 4.0  # spreads of a round's worths: how nearly a start flips what the attack round by round flips

Prior = Float[Tensor, "c c r"]


def names(goal: str, workers: bool) -> tuple[str, ...]:
    """The starts of plans in a federation or without; where the goal is targeted those that aim at no other label."""
    if workers:
        return (EVEN, NEXT, QUIET, CLASSES) if goal == "untargeted" else (EVEN, NEXT, QUIET)
    return (EVEN, ROUNDS, CLASSES) if goal == "untargeted" else (EVEN,)


def of_scene(scene: Scene) -> tuple[str, ...]:
    """The starts of a scene."""
    return names(scene.goal, scene.server is not None)


def together(course: AnyCourse, reach: Reach, scene: Scene) -> Search:
    """All starts of all attackers as one search, start after start."""
    replicas = len(reach.total)
    even = torch.zeros(course.model.classes, course.model.classes, replicas, device=course.x.device)
    if not isinstance(course, Course):
        return begin(torch.cat(_of_workers(course, reach, scene, even), 2), course)
    if len(of_scene(scene)) == 1:
        return begin(even, course)
    priors = torch.cat([even, even, best_table(course, reach)], 2)
    state = begin(priors, course)
    legs, weights = round_by_round(course, reach, scene)
    axis = course.model.replica_axis
    three = torch.arange(replicas, device=course.x.device).repeat(3)
    wide = [Leg(leg.phase, take(leg.params, three, axis), take(leg.direction, three, axis)) for leg in legs]
    plan = torch.zeros(len(legs), 3 * replicas, device=course.x.device)
    plan[:, replicas : 2 * replicas] = weights
    state.ledger = Ledger(wide, plan, torch.zeros_like(plan), torch.zeros_like(plan))
    if course.model.is_linear:
        state.ledger.fold(axis)
    return state


def _of_workers(course: AnyCourse, reach: Reach, scene: Scene, even: Prior) -> list[Prior]:
    """The starts of a federation's plan, in the order of their names."""
    classes = len(even)
    odds = math.log((1 - FEW) / FEW * (classes - 1))
    found = {
        EVEN: even,
        NEXT: to_the_next(classes).unsqueeze(2).expand_as(even).to(even),
        QUIET: even - odds * torch.eye(classes).unsqueeze(2).to(even),
    }
    if CLASSES in of_scene(scene):
        found[CLASSES] = best_table(course, reach)
    return [found[name] for name in of_scene(scene)]


def to_the_next(classes: int) -> Float[Tensor, "c c"]:
    """Worths of labels by which nearly all flips go from a class to the next."""
    table = torch.eye(classes).roll(1, 1)
    return -((1 - SOFT) * table + SOFT / classes).log()


def best_table(course: AnyCourse, reach: Reach) -> Prior:
    """For each attacker the class-by-class labels that harm most among some shares and targets."""
    targets = _targets(course.y, course.model.classes)
    tables = [class_by_class(course, reach, share, target) for share in SHARES for target in targets]
    wide = reach.times(len(tables))
    priors = torch.cat(tables, 2)
    soft = soft_labels(wide, priors[course.y], course.y)
    found = outcome(course, _held(course, soft))
    best = found.view(len(tables), -1).min(0).indices
    return priors[:, :, best * len(reach.total) + torch.arange(len(best), device=best.device)]


def class_by_class(course: AnyCourse, reach: Reach, share: float, target: int) -> Prior:
    """So much of one class after another relabelled as ``target`` until the budget is spent, as worths of labels."""
    y, classes = course.y, course.model.classes
    counts = torch.bincount(y, minlength=classes).double()
    left = reach.total.double().clone()
    table = torch.eye(classes, dtype=torch.float64, device=left.device).unsqueeze(2).repeat(1, 1, len(left))
    for label in [*(c for c in range(classes) if c != target), target]:
        own = reach.limit if len(reach.limit) == 1 else reach.limit[y == label]
        most = own.double().mean(0).clamp(max=share)
        flipped = torch.minimum(most, left / counts[label].clamp(min=1))
        left = left - flipped * counts[label]
        other = target if label != target else (target + 1) % classes
        table[label, other] += flipped
        table[label, label] -= flipped
    return -((1 - SOFT) * table + SOFT / classes).log().to(course.x)


def round_by_round(course: Course, reach: Reach, scene: Scene) -> tuple[list[Leg], Float[Tensor, "legs r"]]:
    """The attack that is optimal in each round, trained in expectation: its scores, averaged over each phase."""
    replicas, axis = len(reach.total), course.model.replica_axis
    params = expand(course.start, replicas, axis)
    turns = _turns(course, scene)
    legs: list[Leg] = []
    weights: list[Float[Tensor, " r"]] = []
    for first, last in zip(turns, [*turns[1:], course.steps], strict=True):
        leg = Leg(course.phase_of[first], params, _against(course, params, replicas))
        found = ledgers.worth(
            course.model, course.x, [leg], torch.ones(1, replicas, device=course.x.device), leg.phase
        )
        legs.append(leg)
        weights.append(SHARP / found.std((0, 1)).clamp(min=1e-20))
        soft = soft_labels(reach, found.mul_(weights[-1]), course.y)
        params = trajectory(course, _held(course, soft), params, first, last)[-1]
    counts = torch.tensor([sum(other.phase == leg.phase for other in legs) for leg in legs])
    return legs, torch.stack(weights) / counts.unsqueeze(1).to(course.x)


def _held(course: AnyCourse, soft: Float[Tensor, "n c r"]) -> Float[Tensor, "phases n c r"]:
    """The same soft labels in every phase in which something is flipped."""
    if not course.still:
        return soft.unsqueeze(0).expand(course.phases, -1, -1, -1)
    honest = torch.nn.functional.one_hot(course.y, soft.shape[1]).unsqueeze(2).expand_as(soft).to(soft)
    return torch.stack([honest if phase < course.still else soft for phase in range(course.phases)])


def _against(course: Course, params: Params, replicas: int) -> Params:
    honest = course.y.unsqueeze(1).expand(-1, replicas)
    return untargeted(mean_gradient(course.model, params, course.x, honest))


def _turns(course: Course, scene: Scene) -> list[int]:
    """The steps before which the attack decides: every round, or, where each costs a leg, every phase."""
    if scene.model.is_linear:
        return list(range(0, course.steps, max(1, course.steps // scene.recipe.epochs)))
    phases = course.phase_of
    return [t for t in range(course.steps) if t == 0 or phases[t] != phases[t - 1]]


def _targets(y: Int[Tensor, " n"], classes: int) -> list[int]:
    """The classes that others are relabelled as: the first, and those with the most examples."""
    order = torch.bincount(y, minlength=classes).argsort(descending=True).tolist()
    return list(dict.fromkeys([0, *order]))[:TARGETS]
