"""``train``: many threats, many seeds, one call."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from turncoat import errors, models
from turncoat.analysis import given
from turncoat.analysis.results import EVALUATION_MODE, Results, Run, Setting, with_clean_accuracy
from turncoat.data.dataset import Dataset
from turncoat.federation.federation import POOLED, Federation
from turncoat.federation.threats import placed_in
from turncoat.federation.tiles import tile_size
from turncoat.fields import written
from turncoat.metrics import chance
from turncoat.recipe import Recipe
from turncoat.threat import CLEAN, Threat
from turncoat.training.lanes import Work, lanes_for, side_by_side
from turncoat.training.reach import complaints
from turncoat.training.stability import step_stability
from turncoat.training.stack import Material, Training, material, stack_run, tiles

Progress = Callable[[int, int], None]  # replica-steps done, replica-steps in all


@errors.known_arguments
def train(
    dataset: Dataset,
    model: str = "logistic",
    threats: Sequence[Threat] = (),
    seeds: Iterable[int] = range(6),
    recipe: Recipe = Recipe(),  # noqa: B008 - frozen
    device: str = "cpu",
    federation: Federation = POOLED,
    progress: Progress | None = None,
) -> Results:
    """Train every threat under every seed, the clean run always among them.

    All threats of a seed share initialisation, batches and the random order from which write access is cut,
    so that they can be compared seed by seed. In a federation every threat owns the hostile workers' data.

    Raises:
        TurncoatError: for an unknown model or selection, no seeds, a device that is not there, or a threat that does
            not fit the federation.

    Warns:
        IdleThreatWarning: ``idle-threat``: a threat that can never flip a label, or a field of it that does nothing.
        EvaluationModeWarning: ``evaluation-mode``: parts of the model act differently while it trains.
    """
    given.check(dataset, recipe, federation, progress)
    chosen, device = given.checked_seeds(seeds), given.checked_device(device)
    threats = given.checked_threats(threats)
    placed = [placed_in(federation, threat, recipe) for threat in threats]
    data = material(models.build(model, dataset), dataset, device)
    wanted = (CLEAN, *dict.fromkeys(t for t in placed if not t.is_clean))
    _warn_of_idle(threats, placed, recipe, federation, dataset, chosen[0])
    if data.model.in_training is not None and len(wanted) > 1:
        errors.warn(
            f"{EVALUATION_MODE}: flips are exact for model {data.model.name!r} in evaluation mode, at the statistics of"
            f" their step; it trains in another, by {data.model.in_training.parts}",
            errors.EvaluationModeWarning,
        )
    size = tile_size(data.model, federation, device, recipe.precision)
    stacks = [
        stack_run(data, recipe, seed, tile, federation) for seed in chosen for tile in tiles(wanted, size)
    ]
    total = sum(stack.steps() for stack in stacks)
    done = 0
    runs: list[Run] = []

    def trained(stack: Training) -> Work:
        nonlocal done
        for steps in stack.advance():
            done += steps
            if progress is not None:
                progress(done, total)
            yield
        runs.extend(finished(stack))

    side_by_side((trained(stack) for stack in stacks), device, lanes_for(data.model))
    order = {threat: i for i, threat in enumerate(wanted)}
    runs.sort(key=lambda run: (order[run.threat], chosen.index(run.seed)))
    setting = describe(data, dataset, recipe, federation)
    return Results(with_clean_accuracy(setting, runs), tuple(runs))


def _warn_of_idle(
    threats: Sequence[Threat],
    placed: Sequence[Threat],
    recipe: Recipe,
    federation: Federation,
    dataset: Dataset,
    seed: int,
) -> None:
    """Warn of what can do nothing: of attackers, or of clean threats where there is no attacker at all."""
    nobody = all(threat.is_clean for threat in placed)
    for threat, here in zip(threats, placed, strict=True):
        if nobody or not here.is_clean:
            for told in complaints(threat, here, recipe, federation, dataset.y, seed, dataset.holder):
                errors.warn(f"idle-threat: {written(threat)}: {told}", errors.IdleThreatWarning)


def describe(data: Material, dataset: Dataset, recipe: Recipe, federation: Federation = POOLED) -> Setting:
    """The setting that all runs on this data share."""
    return Setting(
        dataset=dataset.name,
        scale=dataset.scale,
        model=data.model.name,
        recipe=recipe,
        federation=federation,
        chance=chance(data.y_test),
        step_stability=step_stability(data.model, recipe, data.x, data.y),
        in_training="" if data.model.in_training is None else data.model.in_training.parts,
    )


def finished(stack: Training) -> list[Run]:
    """One run per replica of a stack that is over; curves end where the replica stopped."""
    curves, looked = stack.curves(), stack.samples()
    runs = []
    for column, threat in enumerate(stack.threats):
        own = curves[:, column]
        lasted = int(np.isfinite(own[:, 0]).sum())
        samples = looked[:, column] if looked.size else None
        runs.append(Run(threat, stack.task.seed, own[:lasted].copy(), samples))
    return runs
