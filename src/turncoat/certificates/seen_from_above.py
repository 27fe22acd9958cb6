"""What attacks reach: on the voters that are certified, and on a model that nothing defends."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from turncoat import metrics, models
from turncoat.certificates.attack import flipped
from turncoat.certificates.ensemble import ballots
from turncoat.certificates.voters import Voters, elect
from turncoat.data.dataset import Dataset
from turncoat.recipe import Recipe
from turncoat.threat import CLEAN, Threat
from turncoat.training.own import usual_recipe
from turncoat.training.stack import material, stack_run, tiles
from turncoat.training.task import CURVES
from turncoat.voting import counts

STATIC = ("optimal", "class_by_class", "planned")  # rules that an undefended model meets
EPOCHS = 20
POINTS = 9  # numbers of flips at which attacks are tried
BEYOND = 4  # times the largest radius


def budgets(most: int, rows: int) -> list[int]:
    """Numbers of flips, evenly, from 0 to well beyond the largest radius: to win a model over takes several of them."""
    return sorted({min(rows, round(BEYOND * (most + 1) * i / (POINTS - 1))) for i in range(POINTS)})


def voters_attacked(of: Voters, dataset: Dataset, flips: Sequence[int]) -> dict[int, float]:
    """Accuracy of the vote, its models trained anew, after the flips that are placed where votes are closest.

    An attacker need not spend all that it may: what fewer flips reached stands for more of them too.
    """
    clean = ballots(of.ensemble, dataset.y, of.x_test, False)
    votes = counts(clean.first, dataset.classes)
    reached: dict[int, float] = {}
    lowest = 1.0
    for budget in sorted(flips):
        labels = flipped(of, dataset.y, votes, dataset.y_test, budget)
        prediction = elect(of, labels).prediction
        lowest = min(lowest, float((prediction == dataset.y_test).double().mean()))
        reached[budget] = lowest
    return reached


def undefended(
    dataset: Dataset,
    model: str,
    flips: Sequence[int],
    selections: Sequence[str | Callable[..., Any]] = STATIC,
    recipe: Recipe | None = None,
    seed: int = 0,
) -> dict[int, float]:
    """Accuracy of one model on all rows after as many flips that are fixed before training.

    Of ``selections``, with schedule "once", each number of flips has the rule that leaves the least accuracy on
    training data with clean labels; the test set chooses nothing.
    """
    data = material(models.build(model, dataset), dataset, "cpu")
    if recipe is None:
        usual = usual_recipe(data.model, data.x, 64)
        recipe = dataclasses.replace(usual, epochs=EPOCHS, momentum=0.0)
    threats = {
        f: [Threat(1.0, min(1.0, f / dataset.n), selection=rule, schedule="once") for rule in selections]
        for f in flips
        if f
    }
    asked = (CLEAN, *dict.fromkeys(t for those in threats.values() for t in those))
    reached: dict[Threat, tuple[float, float]] = {}
    for tile in tiles(asked, data.model.tile):
        stack = stack_run(data, recipe, seed, tile)
        for _ in stack.advance():
            pass
        known, tested = (stack.curves()[:, :, CURVES.index(name)] for name in ("train_accuracy", "accuracy"))
        reached |= {
            t: (metrics.tail_mean(known[:, column]), metrics.tail_mean(tested[:, column]))
            for column, t in enumerate(tile)
        }
    return {f: min(reached[threat] for threat in threats.get(f, [CLEAN]))[1] for f in flips}
