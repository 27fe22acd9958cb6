"""Attackers that plan the whole training before it begins, and what they flip in each of its rounds."""

import dataclasses
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.attack.names import PLANS, is_planned
from turncoat.losses import at_labels
from turncoat.planning.planner import ROUNDS, Planner
from turncoat.planning.reach import Reach
from turncoat.planning.realise import drawn_flips, fixed_flips, meant
from turncoat.planning.scene import Scene
from turncoat.randomness import generator
from turncoat.threat import Threat
from turncoat.training.task import Rows, Task


def plans(threats: tuple[Threat, ...]) -> bool:
    """Whether any attacker plans."""
    return any(_plans(threat) for threat in threats)


def count(threats: tuple[Threat, ...]) -> int:
    """How many attackers plan."""
    return sum(map(_plans, threats))


def planners(task: Task, rounds: int = ROUNDS) -> list["Planned"]:
    """One planner for all attackers that share what they know and want, with so many rounds of search."""
    alike: dict[tuple[object, ...], list[int]] = {}
    for replica, threat in enumerate(task.threats):
        if _plans(threat):
            alike.setdefault(_kind(threat), []).append(replica)
    found = []
    for replicas in alike.values():
        replicas.sort(key=lambda replica: -task.threats[replica].write_access)
        found.append(Planned(tuple(replicas), Planner(_scene(task, replicas), rounds)))
    return found


@dataclasses.dataclass
class Planned:
    """A planner, its attackers' places in the stack, and the soft labels of the phase that training is in."""

    replicas: tuple[int, ...]
    planner: Planner
    _phase: int = -1
    _soft: Float[Tensor, "n c r"] | None = None
    _used: Float[Tensor, " r"] | None = None  # share of its budget that each plan spends in the phase

    def advance(self, steps: int) -> Iterator[int]:
        """Plan to the end; counts as ``steps`` for each attacker."""
        whole, rounds = steps * len(self.replicas), self.planner.rounds
        before = whole * self.planner.done // rounds
        for done in self.planner.advance():
            yield whole * done // rounds - before
            before = whole * done // rounds

    def labels(
        self, replica: int, threat: Threat, rows: Rows, turn: int, parts: tuple[tuple[int, int], ...]
    ) -> Iterator[tuple[int, int, Int[Tensor, " m"]]]:
        """One attacker's labels in a round, block by block of the rows it may write to."""
        column = self.replicas.index(replica)
        scene = self.planner.scene
        for start, stop in parts:
            own = rows.order[start:stop]
            labels, allowance = rows.y[own], threat.allowance(stop - start)
            limit = 1.0 if scene.fixed else threat.writable(len(rows.y)) / len(rows.y)
            if scene.server is not None:
                soft = self._of_workers(turn, rows)[start:stop, :, column]
                flips = meant(soft, labels, 1.0, allowance)
            elif len(scene.y) == len(rows.y):
                soft, flips = self._known(turn, column, own, allowance)
            else:
                soft, flips = self._guessed(turn, column, rows, own, limit, allowance)
            draw = generator(scene.seed, "planned", turn, start)
            if scene.once:
                yield start, stop, fixed_flips(soft, labels, allowance, draw)
            else:
                yield start, stop, drawn_flips(soft, labels, limit, flips, draw)

    def _of_workers(self, turn: int, rows: Rows) -> Float[Tensor, "m c r"]:
        """Soft labels of all rows of the hostile workers, in their order."""
        scene, policy = self.planner.scene, self.planner.policy
        phase = policy().phase(turn)
        if phase != self._phase or self._soft is None:
            own = rows.order[: int(rows.sizes.max())]
            self._soft = policy().soft_labels(rows.x[own], rows.y[own], phase, scene.reach())
            self._phase = phase
        return self._soft

    def _known(
        self, turn: int, column: int, own: Int[Tensor, " m"], allowance: int
    ) -> tuple[Float[Tensor, "m c"], float]:
        """Soft labels of rows that were planned for, and how many flips are meant."""
        scene, policy = self.planner.scene, self.planner.policy
        phase = policy().phase(turn)
        if phase != self._phase or self._soft is None or self._used is None:
            reach = scene.reach()
            self._soft = policy().soft_labels(scene.x, scene.y, phase, reach)
            mass = len(scene.y) - self._soft.gather(1, at_labels(scene.y, self._soft)).sum((0, 1))
            self._used = (mass / reach.mass.clamp(min=1e-9)).clamp(max=1)
            self._phase = phase
        soft = self._soft[own, :, column]
        if not scene.fixed:
            return soft, allowance * float(self._used[column])
        return soft, meant(soft, scene.y[own], 1.0, allowance)

    def _guessed(
        self, turn: int, column: int, rows: Rows, own: Int[Tensor, " m"], limit: float, allowance: int
    ) -> tuple[Float[Tensor, "m c"], float]:
        """Soft labels of the rows at hand, by a plan that was made on others."""
        one = torch.tensor([column], device=own.device)
        policy = self.planner.policy().of(one)
        reach = Reach(
            torch.full((1, 1), limit, device=own.device),
            torch.tensor([allowance * limit], dtype=torch.float64, device=own.device),
        )
        soft = policy.soft_labels(rows.x[own], rows.y[own], policy.phase(turn), reach).squeeze(2)
        return soft, meant(soft, rows.y[own], limit, allowance)


def planned_labels(
    task: Task, replicas: list[int], rows: Rows, members: Int[Tensor, " m"], turn: int
) -> Int[Tensor, "m g"]:
    """The labels of a group's rows in this round."""
    assert task.plans is not None
    result = rows.y[members].unsqueeze(1).repeat(1, len(replicas))
    for column, replica in enumerate(replicas):
        plan = next(one for one in task.plans if replica in one.replicas)
        threat = task.threats[replica]
        for start, stop, labels in plan.labels(replica, threat, rows, turn, rows.parts(column)):
            result[start:stop, column] = labels
    return result


def _plans(threat: Threat) -> bool:
    return is_planned(threat.selection) and not threat.is_clean


def _kind(threat: Threat) -> tuple[object, ...]:
    seen = threat.write_access if threat.knowledge != "omniscient" else None
    return (
        *(threat.goal, threat.placement, threat.knowledge, threat.aware),
        *(threat.selection, threat.last_rounds, seen),
    )


def _scene(task: Task, replicas: list[int]) -> Scene:
    threats = [task.threats[replica] for replica in replicas]
    pool = task.way.pool(task, threats, 0)
    first = threats[0]
    flips = [
        sum(threat.allowance(stop - start) for start, stop in pool.parts(j))
        for j, threat in enumerate(threats)
    ]
    x, y, order = task.x, task.y, pool.order
    if first.knowledge != "omniscient":  # it plans on its own rows alone
        own = order[: int(pool.sizes.max())]
        x, y, order = x[own], y[own], torch.arange(len(own), device=y.device)
    once = first.schedule == "once"
    fixed = once or first.placement == "fixed"
    sizes = pool.sizes
    if not fixed and first.knowledge != "omniscient":
        # of its rows, too, each may be written to in so many rounds
        k = sizes.double() / len(task.y)
        sizes = (k * len(y)).long()
        flips = [int(f * float(share)) for f, share in zip(flips, k, strict=True)]
    start = task.model.init(generator(task.seed, "init"), 1)
    return Scene(
        model=task.model,
        x=x,
        y=y,
        recipe=task.recipe,
        batches=task.way.steps(task),
        seed=task.seed,
        start={name: value.to(x.device) for name, value in start.items()},
        goal=first.goal,
        order=order,
        sizes=sizes,
        flips=torch.tensor(flips, device=y.device),
        fixed=fixed,
        once=once,
        at=PLANS[str(first.selection)],
        last_rounds=first.last_rounds,
        server=task.way.server(task, threats),
    )
