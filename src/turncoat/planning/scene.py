"""What a planner knows: data, model, recipe, and what each of its attackers may hold."""

import dataclasses
import itertools
import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.direction import Params
from turncoat.errors import TurncoatError
from turncoat.losses import CROSS_ENTROPY
from turncoat.models.curvature import sharpest
from turncoat.models.stack import Model
from turncoat.planning.aim import aim_of
from turncoat.planning.basis import leading, shortened
from turncoat.planning.by_messages import CrowdCourse
from turncoat.planning.course import Course
from turncoat.planning.reach import Reach
from turncoat.planning.server import Server
from turncoat.planning.timing import STEPS, Timing, timing
from turncoat.randomness import generator
from turncoat.recipe import Recipe

ROWS = 8000  # that a linear model is planned on
FEW = 2500  # on which starts are compared
NETWORK_ROWS = 3000
MOST_STEPS = 240  # of a network's course
MESSAGES, MOST_MESSAGES = 240, 600  # steps of a federation's course, where its training has as many
AIMED = 4000  # rows on which a federation's aim is looked at
STABLE = 1.2  # times one over the sharpest curvature: the longest step of a network's course


@dataclasses.dataclass(frozen=True)
class Scene:
    """Attackers that share data, model, recipe, seed and goal, and differ in how much they may hold.

    With ``fixed`` attacker j owns the first ``sizes[j]`` rows of ``order``, else any so many in each round, and may
    flip ``flips[j]`` of them in a round.
    """

    model: Model
    x: Tensor  # (n, …) as the model eats it
    y: Int[Tensor, " n"]
    recipe: Recipe
    batches: int  # in a round
    seed: int
    start: Params  # of one replica
    goal: str
    order: Int[Tensor, " n"]
    sizes: Int[Tensor, " r"]
    flips: Int[Tensor, " r"]
    fixed: bool
    once: bool = False
    at: str = "mean"
    last_rounds: int = 0  # in which alone it may flip; in all, if 0
    server: Server | None = (
        None  # of a federation: the hostile workers' rows are K, each with a budget of its own
    )

    def planned(self, most: int) -> Int[Tensor, " m"]:
        """The rows that a plan is made on: a sample, or some of each hostile worker's."""
        return self.sample(most) if self.server is None else torch.cat(self.server.some(most))

    def sample(self, most: int) -> Int[Tensor, " m"]:
        """Some of the rows, drawn once: a smaller sample is the beginning of a larger one."""
        order = torch.randperm(len(self.y), generator=generator(self.seed, "planning rows"))
        return order[: min(most, len(self.y))].to(self.y.device)

    def reach(self, rows: Int[Tensor, " m"] | None = None) -> Reach:
        """What may be held on these rows, or on all; in a federation on rows of the hostile workers, one by one."""
        if self.server is not None:
            return self._of_workers(self.server, rows)
        n = len(self.y)
        flips, sizes = self.flips.double(), self.sizes.double()
        count = n if rows is None else len(rows)
        if not self.fixed:
            return Reach((sizes / n).float().unsqueeze(0), flips / n * count)
        rank = self.order.argsort()
        own = (rank if rows is None else rank[rows]).unsqueeze(1) < self.sizes
        return Reach(own.float(), flips / sizes.clamp(min=1) * own.sum(0))

    def _of_workers(self, server: Server, rows: Int[Tensor, " m"] | None) -> Reach:
        sizes = [len(own) for own in server.shards[: server.hostile]]
        counts = sizes if rows is None else server.count(rows)
        share = torch.tensor(counts, dtype=torch.float64) / torch.tensor(sizes).clamp(min=1)
        limit = torch.ones(1, len(self.sizes), device=self.y.device)
        mass = server.flips.double() * share.to(server.flips.device).unsqueeze(1)
        return Reach(limit, mass, tuple(itertools.pairwise(itertools.accumulate(counts, initial=0))))


@dataclasses.dataclass(frozen=True)
class View:
    """A scene's features as its planner sees them, and its timing."""

    scene: Scene
    timing: Timing
    rate: float
    basis: Float[Tensor, "d m"] | None
    scale: Params | None

    def course(self, rows: Int[Tensor, " m"]) -> Course | CrowdCourse:
        """Training in expectation on these rows; in a federation, by messages, with labels of these rows to plan."""
        scene = self.scene
        if scene.server is not None:
            return self._of_crowd(scene.server, rows)
        x, start = scene.x[rows], scene.start
        if self.basis is not None:
            x = x @ self.basis
            start = {name: value.new_zeros(x.shape[1], *value.shape[1:]) for name, value in start.items()}
        aim = aim_of(scene.y[rows], scene.model.classes, scene.goal)
        return Course(
            model=scene.model,
            x=x,
            y=scene.y[rows],
            aim=aim,
            start=start,
            rate=self.rate,
            phase_of=self.timing.phase_of,
            looks=self.timing.looks,
            weight_decay=scene.recipe.weight_decay,
            scale=self.scale,
            still=self.timing.still,
        )

    def _of_crowd(self, server: Server, rows: Int[Tensor, " m"]) -> CrowdCourse:
        scene = self.scene
        looked = scene.sample(AIMED)
        return CrowdCourse(
            # plans are made without a defence, as elsewhere: workers then train with the plain loss
            model=dataclasses.replace(scene.model, loss=CROSS_ENTROPY),
            data=scene.x,
            labels=scene.y,
            own=rows,
            blocks=scene.reach(rows).blocks,
            server=server,
            seen=looked,
            aim=aim_of(scene.y[looked], scene.model.classes, scene.goal),
            start=scene.start,
            rate=self.rate,
            phase_of=self.timing.phase_of,
            looks=self.timing.looks,
            seed=scene.seed,
            weight_decay=scene.recipe.weight_decay if server.local_steps == 1 else 0.0,
            still=self.timing.still,
            fixed=scene.once,
        )


def view(scene: Scene) -> View:
    """How a scene is planned: a linear model in its leading directions, others and federations in stable steps.

    Raises:
        TurncoatError: for a network without second derivatives.
    """
    if scene.model.curvature is not None and scene.server is None:
        when = timing(scene.recipe, scene.batches, scene.once, scene.at, last_rounds=scene.last_rounds)
        values, basis = leading(scene.x[scene.sample(ROWS)])
        short = shortened(scene.model.curvature * values, when.rate)
        scale = {name: short.view(-1, *(1,) * (v.ndim - 1)) for name, v in scene.start.items()}
        return View(scene, when, when.rate, basis, scale)
    rows = scene.sample(FEW)
    bend = sharpest(
        scene.model, scene.start, scene.x[rows], scene.y[rows], generator(scene.seed, "curvature")
    )
    if math.isnan(bend):
        raise TurncoatError(
            f"model {scene.model.name!r} has an operation without a second derivative, which a plan goes back through:"
            " set selection to 'optimal'"
        )
    recipe = scene.recipe
    if scene.server is not None and scene.server.local_steps > 1:
        # workers have stepped so often, by plain SGD, and the server takes what they made of it
        rate = recipe.learning_rate * scene.server.local_steps
        recipe = dataclasses.replace(recipe, learning_rate=rate, momentum=0.0, weight_decay=0.0)
    whole = recipe.passed(recipe.epochs, scene.batches)
    length = recipe.learning_rate / (1 - recipe.momentum) * recipe.epochs * (whole / recipe.epochs)
    base, most = (STEPS, MOST_STEPS) if scene.server is None else (MESSAGES, MOST_MESSAGES)
    least = min(most, max(base, int(length * bend / STABLE) + 1))
    when = timing(recipe, scene.batches, scene.once, scene.at, least, scene.last_rounds)
    # a longer training than so many stable steps is planned as if it ended after these
    return View(scene, when, min(when.rate, STABLE / max(bend, 1e-9)), None, None)
