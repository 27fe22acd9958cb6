"""What a planner knows: data, model, recipe, and what each of its attackers may hold."""

import dataclasses
import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.direction import Params
from turncoat.errors import TurncoatError
from turncoat.models.curvature import sharpest
from turncoat.models.stack import Model
from turncoat.planning.aim import aim_of
from turncoat.planning.basis import leading, shortened
from turncoat.planning.course import Course
from turncoat.planning.reach import Reach
from turncoat.planning.timing import STEPS, Timing, timing
from turncoat.randomness import generator
from turncoat.recipe import Recipe

ROWS = 8000  # that a linear model is planned on
FEW = 2500  # on which starts are compared
NETWORK_ROWS = 3000
MOST_STEPS = 240  # of a network's course
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

    @property
    def linear(self) -> bool:
        """Whether the model's logits are linear in its parameters."""
        return self.model.curvature is not None

    def sample(self, most: int) -> Int[Tensor, " m"]:
        """Some of the rows, drawn once: a smaller sample is the beginning of a larger one."""
        order = torch.randperm(len(self.y), generator=generator(self.seed, "planning rows"))
        return order[: min(most, len(self.y))].to(self.y.device)

    def reach(self, rows: Int[Tensor, " m"] | None = None) -> Reach:
        """What may be held on these rows, or on all."""
        n = len(self.y)
        flips, sizes = self.flips.double(), self.sizes.double()
        count = n if rows is None else len(rows)
        if not self.fixed:
            return Reach((sizes / n).float().unsqueeze(0), flips / n * count)
        rank = torch.empty_like(self.order)
        rank[self.order] = torch.arange(n, device=rank.device)
        own = (rank if rows is None else rank[rows]).unsqueeze(1) < self.sizes
        return Reach(own.float(), flips / sizes.clamp(min=1) * own.sum(0))


@dataclasses.dataclass(frozen=True)
class View:
    """A scene's features as its planner sees them, and its timing."""

    scene: Scene
    timing: Timing
    rate: float
    basis: Float[Tensor, "d m"] | None
    scale: Params | None

    def course(self, rows: Int[Tensor, " m"]) -> Course:
        """Training in expectation on these rows."""
        scene = self.scene
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


def view(scene: Scene) -> View:
    """How a scene is planned: a linear model in its leading directions, a network in steps that are stable.

    Raises:
        TurncoatError: for a network without second derivatives.
    """
    if scene.model.curvature is not None:
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
    whole = recipe.passed(recipe.epochs, scene.batches)
    length = recipe.learning_rate / (1 - recipe.momentum) * recipe.epochs * (whole / recipe.epochs)
    least = min(MOST_STEPS, max(STEPS, int(length * bend / STABLE) + 1))
    when = timing(scene.recipe, scene.batches, scene.once, scene.at, least, scene.last_rounds)
    # a longer training than so many stable steps is planned as if it ended after these
    return View(scene, when, min(when.rate, STABLE / max(bend, 1e-9)), None, None)
