"""Training as a federation trains: workers' messages on mini-batches of drawn flips, and the server's rule.

A robust rule looks at how messages scatter, so nothing is left to its mean here: each step draws every worker's
batch, and the labels of the hostile ones' rows by the plan. The way back goes through the rule's own derivative; a
label's worth is that of its chance, as if the draw were the soft label itself (straight through; Bengio, Léonard and
Courville 2013). Draws change from one round of the search to the next.
"""

import dataclasses
import functools

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.direction import Params
from turncoat.federation.messages import gradients, pack, unpack
from turncoat.models.stack import Model, expand, zeros
from turncoat.planning import aim as aims
from turncoat.planning.aim import Aim
from turncoat.planning.costates import Leg, Return
from turncoat.planning.server import Server, draws, pulled_back

KEPT = 1 << 29  # bytes of messages that are kept for the way back; more are computed again


@dataclasses.dataclass(frozen=True)
class CrowdCourse:
    """What stays the same from one plan to the next, as in a ``Course``; a plan's labels are those of ``own``.

    ``own`` are the hostile workers' rows that are planned, of ``data`` and ``labels``, and ``blocks`` says which of
    them are whose; ``honest`` are the rows of each other worker. The aim looks at ``seen``. With ``fixed`` every row's
    label is drawn once for all steps.
    """

    model: Model
    data: Tensor  # (m, …)
    labels: Int[Tensor, " m"]
    own: Int[Tensor, " n"]
    blocks: tuple[tuple[int, int], ...]
    server: Server
    seen: Int[Tensor, " s"]
    aim: Aim
    start: Params  # of one replica
    rate: float
    phase_of: tuple[int, ...]
    looks: dict[int, float]
    seed: int
    weight_decay: float = 0.0
    still: int = 0
    fixed: bool = False

    @property
    def steps(self) -> int:
        """How many steps the course has."""
        return len(self.phase_of)

    @property
    def phases(self) -> int:
        """How many sets of labels a plan holds."""
        return self.phase_of[-1] + 1

    @functools.cached_property
    def middle(self) -> tuple[int, ...]:
        """The middle step of each phase."""
        own = [[t for t, phase in enumerate(self.phase_of) if phase == one] for one in range(self.phases)]
        return tuple(steps[len(steps) // 2] for steps in own)

    @functools.cached_property
    def x(self) -> Tensor:
        """The features of the rows that are planned."""
        return self.data[self.own]

    @functools.cached_property
    def y(self) -> Int[Tensor, " n"]:
        """Their true classes."""
        return self.labels[self.own]

    @functools.cached_property
    def looked_at(self) -> Tensor:
        """The features that the aim looks at."""
        return self.data[self.seen]


@dataclasses.dataclass(frozen=True)
class Step:
    """Who takes part in a step, with which rows of the data and which labels."""

    who: list[int]
    rows: Int[Tensor, "m b"]
    labels: Int[Tensor, "m b r"]


@dataclasses.dataclass(frozen=True)
class Way:
    """A training on drawn labels: what happened in each step, and, where they are kept, the messages."""

    steps: list[Step]
    params: list[Params]  # at the start and after each step
    messages: list[Tensor]  # (r, m, p)


def way_back(course: CrowdCourse, soft: Float[Tensor, "phases n c r"], turn: int) -> Return:
    """Train on labels drawn from these and go back; a leg for every hostile worker and phase.

    Scores of a network are taken at the middle step of each phase.
    """
    way = there(course, soft, turn)
    costate = zeros(way.params[-1])
    found: dict[int, Leg] = {}
    objective: Tensor | float = 0.0
    judged: Tensor | float = 0.0
    for number in range(course.steps - 1, -1, -1):
        before, after = way.params[number], way.params[number + 1]
        if weight := course.looks.get(number + 1):
            value, slope = aims.slope(course.aim, course.model, after, course.looked_at)
            objective = objective + weight * value
            judged = judged + weight * aims.value(course.aim, course.model, after, course.looked_at)
            costate = {name: c.add_(slope[name], alpha=weight) for name, c in costate.items()}
        step = way.steps[number]
        sent = way.messages[number] if way.messages else messages(course, before, step)
        toward = course.rate * pack(course.model, costate)
        slopes = pulled_back(course.server.rule, sent, torch.tensor(step.who), toward)
        _back_one(course, before, step, slopes, costate)
        _add_to_legs(course, found, before, slopes, step.who, number)
    assert isinstance(objective, Tensor) and isinstance(judged, Tensor)
    return Return(objective, judged, [found[number] for number in sorted(found)])


def outcome(course: CrowdCourse, soft: Float[Tensor, "phases n c r"]) -> Float[Tensor, " r"]:
    """The objective, as plans are judged, of one training on labels drawn from these."""
    passed = there(course, soft, 0).params
    looks = [
        weight * aims.value(course.aim, course.model, passed[step], course.looked_at)
        for step, weight in course.looks.items()
    ]
    return torch.stack(looks).sum(0)


def there(course: CrowdCourse, soft: Float[Tensor, "phases n c r"], turn: int) -> Way:
    """The training on labels drawn from these."""
    params = expand(course.start, soft.shape[3], course.model.replica_axis)
    way = Way([], [params], [])
    size = course.steps * course.server.present * sum(4 * value.numel() for value in params.values())
    for number in range(course.steps):
        step = drawn(course, soft, turn, number)
        sent = messages(course, params, step)
        moved = unpack(course.model, course.server.rule(sent, torch.tensor(step.who)), params)
        keep = 1 - course.rate * course.weight_decay
        params = {name: keep * value - course.rate * moved[name] for name, value in params.items()}
        way.steps.append(step)
        way.params.append(params)
        if size <= KEPT:
            way.messages.append(sent)
    return way


def drawn(course: CrowdCourse, soft: Float[Tensor, "phases n c r"], turn: int, number: int) -> Step:
    """The workers of a step and their batches, drawn anew for each round of the search."""
    draw = draws(course.seed, f"messages {turn}", number)
    server, device = course.server, course.own.device
    who = server.who(draw)
    sizes = [stop - start for start, stop in course.blocks]
    sizes += [len(shard) for shard in server.shards[server.hostile :]]
    places = server.batches([sizes[i] for i in who], draw).to(device)
    source = draws(course.seed, "labels", 0) if course.fixed else draw
    chances = torch.rand(len(course.own), 1, generator=source).to(soft)
    hostile = [worker for worker in who if worker < server.hostile]
    first = torch.tensor([course.blocks[worker][0] for worker in hostile], device=device)
    own = (places[: len(hostile)] + first.unsqueeze(1)).long()
    honest = [server.shards[i][row] for i, row in zip(who, places, strict=True) if i >= server.hostile]
    rows = torch.cat([course.own[own], torch.stack(honest)]) if honest else course.own[own]
    labels = course.labels[rows].unsqueeze(2).repeat(1, 1, soft.shape[3])
    if hostile:
        flat = own.flatten()
        by_plan = _by_chance(soft[course.phase_of[number]][flat], chances[flat])
        labels[: len(hostile)] = by_plan.view(*own.shape, -1)
    return Step(who, rows, labels)


def messages(course: CrowdCourse, params: Params, step: Step) -> Float[Tensor, "r m p"]:
    """Mean gradient of each worker's batch."""
    x = course.data.index_select(0, step.rows.flatten()).unflatten(0, step.rows.shape)
    return gradients(course.model, params, x, step.labels).transpose(0, 1)


def _back_one(
    course: CrowdCourse, before: Params, step: Step, slopes: Float[Tensor, "r m p"], costate: Params
) -> None:
    """λ ← λ - wPλ - Σ_i H_i (∂F/∂m_i)ᵀ Pλ, in place."""
    model, batch = course.model, step.rows.shape[1]
    if course.weight_decay:
        for value in costate.values():
            value.mul_(1 - course.rate * course.weight_decay)
    directions = [unpack(model, slopes[:, place], before) for place in range(len(step.who))]
    features = [course.data.index_select(0, rows) for rows in step.rows]
    if not model.is_linear:
        for x, labels, direction in zip(features, step.labels, directions, strict=True):
            hard = torch.nn.functional.one_hot(labels.long(), model.classes).transpose(1, 2).to(slopes)
            model.hessian_product(before, x, hard, direction, costate, -1.0 / batch)
        return
    # linear: one product for the logits of all rows, and one back
    whole = torch.cat(features)
    moved = torch.cat([model.scores(before, x, v) for x, v in zip(features, directions, strict=True)])
    logits, pull = model.forward(before, whole)
    shares = logits.softmax(1)
    pull(shares.mul_(moved - (shares * moved).sum(1, keepdim=True)), costate, -1.0 / batch)


def _add_to_legs(
    course: CrowdCourse,
    found: dict[int, Leg],
    before: Params,
    slopes: Float[Tensor, "r m p"],
    who: list[int],
    number: int,
) -> None:
    """What a label of each hostile worker is worth: a leg's phase counts the workers within each phase."""
    hostile, phase = course.server.hostile, course.phase_of[number]
    for worker in range(hostile):
        slot = phase * hostile + worker
        there = found.get(slot) or Leg(slot, before, zeros(before))
        if number >= course.middle[phase]:
            there = dataclasses.replace(there, params=before)
        if worker in who:
            start, stop = course.blocks[worker]
            part = unpack(course.model, slopes[:, who.index(worker)], before)
            for name, value in there.direction.items():
                value.add_(part[name], alpha=1 / (stop - start))
        found[slot] = there


def _by_chance(plan: Float[Tensor, "b c r"], chance: Float[Tensor, "b 1"]) -> Int[Tensor, "b r"]:
    """A label of each row by its shares in the plan; the same chance for all replicas."""
    below = plan.cumsum(1)
    passed = below <= chance.unsqueeze(2) * below[:, -1:]
    return passed.sum(1).clamp(max=plan.shape[1] - 1)
