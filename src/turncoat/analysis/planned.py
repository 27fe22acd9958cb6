"""``plan``: the flips of a whole training, planned before it, to look at, to keep, or to use in a loop of one's own."""

import dataclasses
from collections.abc import Callable

from turncoat import errors, models
from turncoat.analysis import given
from turncoat.attack.names import PLANNED
from turncoat.data.dataset import Dataset
from turncoat.errors import TurncoatError, shown
from turncoat.federation.federation import POOLED
from turncoat.federation.threats import placed_in
from turncoat.planning import planner as planners
from turncoat.planning.plan import Made, Plan
from turncoat.planning.timing import AT
from turncoat.recipe import Recipe
from turncoat.threat import Threat
from turncoat.training import planned
from turncoat.training.reach import reach
from turncoat.training.stack import material, stack_run

Progress = Callable[[int, int], None]  # rounds of planning done, rounds in all


@errors.known_arguments
def plan(
    dataset: Dataset,
    model: str = "logistic",
    threat: Threat = Threat(1.0, 0.25),  # noqa: B008 - frozen
    recipe: Recipe = Recipe(),  # noqa: B008 - frozen
    seed: int = 0,
    rounds: int = planners.ROUNDS,
    progress: Progress | None = None,
    at: str = "mean",
) -> Plan:
    """Plan the flips that do the most harm over the whole training that ``recipe`` describes.

    The threat's selection does not matter: its plan is what ``train`` follows with ``selection="planned"``, or, where
    ``at`` is "last", with "planned:last": the aim then counts after the last round alone, else over the ends of the
    last 10 % of the rounds. The test set is never looked at.

    Raises:
        TurncoatError: for a threat that flips nothing, rounds below 1, a recipe or schedule that is not planned for,
            or a model without second derivatives.
    """
    given.check(dataset, recipe, POOLED, progress)
    if not isinstance(threat, Threat):
        raise TurncoatError(f"threat is {shown(threat)}, but must be a Threat(...)")
    if recipe.defence != "none":
        raise TurncoatError(
            f"the recipe's defence is {recipe.defence!r}, and plans are made without one: leave defence out;"
            " train(...) with selection 'planned' says what such a plan does under a defence"
        )
    rounds = errors.whole(rounds, "rounds", 1)
    seed = errors.whole(seed, "seed")
    selection = PLANNED if errors.choose(at, AT, "at") == "mean" else f"{PLANNED}:{at}"
    own = placed_in(POOLED, dataclasses.replace(threat, selection=selection), recipe)
    if short := reach(own, recipe, POOLED, dataset.y, seed).shortage:
        raise TurncoatError(short)
    data = material(models.build(model, dataset), dataset, "cpu")
    (one,) = planned.planners(stack_run(data, recipe, seed, (own,)).task)
    one.planner.rounds = rounds
    for done in one.planner.advance():
        if progress is not None:
            progress(done, rounds)
    made = Made(
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        model=data.model.name,
        seed=seed,
        threat=own,
        recipe=recipe,
        start=one.planner.found_from[0],
        objective=one.planner.course_of(0),
        classes=dataset.classes,
        shape=dataset.shape,
    )
    return Plan(made, one.planner.policy())
