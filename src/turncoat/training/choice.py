"""Where a round's labels are chosen, as far as the attacker's knowledge goes."""

import dataclasses

import torch
from jaxtyping import Int
from torch import Tensor

from turncoat.attack.choosing import Choose, Quota, chooser
from turncoat.attack.names import is_planned
from turncoat.attack.round import mean_gradient
from turncoat.attack.selection import resolve
from turncoat.defences.guard import Guard
from turncoat.direction import Params, targeted, untargeted
from turncoat.federation import aware
from turncoat.federation.imitation import nearest, wanted_message
from turncoat.federation.names import imitated
from turncoat.models.stack import take
from turncoat.randomness import generator
from turncoat.threat import Threat
from turncoat.training.optimizers import Slots
from turncoat.training.past_guards import look, past_the_guard
from turncoat.training.planned import planned_labels
from turncoat.training.task import Rows, RunState, Task


@dataclasses.dataclass(frozen=True)
class Turn:
    """Whose turn it is, on which rows, and when: what names the random draws of the round."""

    task: Task
    state: RunState
    threats: tuple[Threat, ...]  # they differ in how much they may write to and flip, in nothing else
    columns: Int[Tensor, " g"]  # where they stand in the stack
    rows: Rows
    members: Int[Tensor, " m"]  # the rows that any of them may write to
    when: tuple[int, ...]

    def quotas(self, fraction: float = 1.0) -> list[Quota]:
        """What each replica may flip, in every block of its rows, with this fraction of every budget."""
        found = []
        for j, threat in enumerate(self.threats):
            for start, stop in self.rows.parts(j):
                found.append(Quota(j, start, stop, int(fraction * threat.allowance(stop - start))))
        return found


def chosen_labels(turn: Turn, server: Params, toward: Params) -> Int[Tensor, "m g"]:
    """The members' labels for this round: the one place that knows how replicas come to theirs.

    ``server`` are the replicas' parameters, ``toward`` the omniscient attacker's direction.
    """
    if turn.task.kept is not None:
        return _kept(turn, turn.task.kept)
    if is_planned(turn.threats[0].selection):
        own = turn.state.alive[turn.columns].tolist()
        return planned_labels(turn.task, own, turn.rows, turn.members, turn.when[0])
    view = _attackers_view(turn, server, toward)
    if turn.rows.sample is not None:
        return _against_the_rule(turn, view)
    if turn.task.guard is not None and turn.threats[0].aware:
        return _against_the_guard(turn, turn.task.guard, view)
    return _selected(turn, view)


def direction(task: Task, threat: Threat, params: Params, honest: Params) -> Params:
    """Δ at these parameters, with the honest gradient there."""
    if threat.goal == "untargeted":
        return untargeted(honest)
    assert task.target is not None
    return targeted(params, task.target)


def _kept(turn: Turn, kept: Tensor) -> Int[Tensor, "m g"]:
    """Labels that were chosen before training."""
    mine = kept[:, turn.state.alive[turn.columns]]
    return mine[turn.members].to(turn.rows.y.dtype)


def _selected(turn: Turn, view: tuple[Params, Params], fraction: float = 1.0) -> Int[Tensor, "m g"]:
    """What the selection makes of the scores, with this fraction of every budget."""
    attack = imitated(turn.threats[0].selection)
    if attack is not None:
        return _imitation(turn, attack, view[0], fraction)
    return _chooser(turn, view)(turn.quotas(fraction), None)


def _chooser(turn: Turn, view: tuple[Params, Params]) -> Choose:
    """The selection with its scores, to be spent by."""
    rows = turn.rows
    return chooser(
        resolve(turn.threats[0].selection, turn.threats[0].write_access),
        turn.task.model,
        *view,
        *rows.to_read(turn.members),
        rows.y[turn.members],
        rows.sizes,
        generator(turn.task.seed, "selection", *turn.when),
    )


def _imitation(turn: Turn, attack: str, eyes: Params, fraction: float) -> Int[Tensor, "m g"]:
    """Each hostile worker's labels whose message is nearest to the attack's, with this fraction of every budget."""
    rows, model = turn.rows, turn.task.model
    assert rows.blocks is not None
    others = rows.honest or rows.blocks
    if (
        turn.threats[0].knowledge != "omniscient"
    ):  # which sees none but its workers' data, and takes them for all
        others = tuple(rows.blocks[i % len(rows.blocks)] for i in range(len(others)))
    places = [rows.order[start:stop] for start, stop in others]
    honest = [(rows.x[own], rows.y[own]) for own in places]
    draw = generator(turn.task.seed, "imitation", *turn.when)
    wanted = wanted_message(attack, model, eyes, honest, len(rows.blocks), draw)
    result = rows.y[turn.members].unsqueeze(1).repeat(1, len(turn.threats))
    for start, stop in rows.blocks:
        own = turn.members[start:stop]
        allowed = [int(fraction * threat.allowance(stop - start)) for threat in turn.threats]
        flips = torch.tensor(allowed, device=result.device)
        result[start:stop] = nearest(model, eyes, rows.x[own], rows.y[own], wanted, flips, draw).labels
    return result


def _against_the_rule(turn: Turn, view: tuple[Params, Params]) -> Int[Tensor, "m g"]:
    """The flips that move the server's true aggregate farthest, as far as the attacker tries."""
    task, rows = turn.task, turn.rows
    assert rows.sample is not None
    rate = task.recipe.rate(turn.state.step + 1, task.way.steps(task))
    trial = aware.Trial(task.model, *view, rows.x, rows.y, rows.sample, turn.members, rate)
    return aware.against_the_rule(trial, lambda share: _selected(turn, view, share))


def _against_the_guard(turn: Turn, guard: Guard, view: tuple[Params, Params]) -> Int[Tensor, "m g"]:
    """The flips that move the learner farthest past its guard, as far as the attacker tries."""
    if guard.alone:  # no flip counts
        return _selected(turn, view)
    task, rows = turn.task, turn.rows
    known = None if guard.gold is None else (task.x[guard.gold], task.y[guard.gold])
    trial = look(guard, task.model, *view, rows.x, rows.y, turn.members, known)
    choose = _chooser(turn, view)  # no attack on messages is imitated where one server has the data
    return past_the_guard(trial, lambda share, barred: choose(turn.quotas(share), barred))


def _attackers_view(turn: Turn, server: Params, toward: Params) -> tuple[Params, Params]:
    """The parameters the attacker looks at and its direction, as far as its knowledge goes."""
    task, state, threat, rows = turn.task, turn.state, turn.threats[0], turn.rows
    eyes, aim = server, toward
    if threat.knowledge != "omniscient":
        if threat.knowledge == "surrogate":
            assert state.eyes is not None
            eyes = take(state.eyes, turn.columns, task.model.replica_axis)
        labels = rows.y[turn.members].unsqueeze(1).expand(-1, len(turn.columns))
        own = mean_gradient(task.model, eyes, rows.x[turn.members], labels, rows.sizes)
        aim = direction(task, threat, eyes, own)
    if threat.aware:
        known = state.eyes_slots if threat.knowledge == "surrogate" else state.slots
        assert known is not None
        slots: Slots = {k: take(v, turn.columns, task.model.replica_axis) for k, v in known.items()}
        aim = task.optimizer.precondition(aim, slots, state.step + 1)
    return eyes, aim
