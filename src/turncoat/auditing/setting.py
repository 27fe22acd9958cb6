"""What an audit trains: the data, a scale and a learning rate chosen on held-out rows, and how much of everything."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch

from turncoat import models
from turncoat.data.dataset import Dataset
from turncoat.data.split import stratified
from turncoat.errors import TurncoatError
from turncoat.metrics import chance
from turncoat.recipe import Recipe
from turncoat.threat import CLEAN
from turncoat.training.stability import step_stability
from turncoat.training.stack import Material, material, stack_run
from turncoat.training.task import CURVES

ROWS = 300_000  # that a training looks at, over all epochs
QUICK_ROWS = 45_000
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4)
QUICK_SHARES = (0.01, 0.05, 0.1, 0.2, 0.3)
PLANNING, QUICK_PLANNING = 24, 12
NARROW = 0.25  # the lesser write access that is shown beside all of it
STEPS = (1.0, 0.3, 0.1, 0.03)  # of the longest step that is sure to be stable
RATES = (0.3, 0.1, 0.03, 0.01)  # where no step is known to be stable
FEWEST = 10  # rows of a class, so that each of five folds holds it twice
HELD = 0.2  # share of the training part on which scale and learning rate are chosen

Told = Callable[[str, float], None]
"""What is being done, and which share of it is done."""


@dataclasses.dataclass(frozen=True, eq=False)
class Setting:
    """All that the sections of an audit share."""

    dataset: Dataset
    data: Material
    recipe: Recipe
    shares: tuple[float, ...]
    seeds: tuple[int, ...]
    tried: tuple[tuple[str, float, float, float], ...]  # scale, learning rate, step stability, held-out loss
    stability: float
    chance: float
    planning: int  # rounds in which a plan is searched for
    owners: pd.Series | None = None  # of the training rows
    owner: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names."""
        return self.dataset.class_names or tuple(str(c) for c in range(self.dataset.classes))

    @property
    def rows(self) -> np.ndarray:
        """The number of each training row in its file, counted from 1; in the training part where there is none."""
        origin = self.dataset.origin
        return (origin.rows if origin is not None else np.arange(self.dataset.n)) + 1


def choose_setting(
    scaled: Sequence[Dataset], model: str, learning_rate: float | None, quick: bool, told: Told
) -> Setting:
    """The scale and learning rate of least held-out loss, among steps that are sure to be stable.

    Raises:
        TurncoatError: if a class has too few rows, or the model acts differently while it trains.
    """
    first = scaled[0]
    counts = torch.bincount(first.y, minlength=first.classes)
    if int(counts.min()) < FEWEST:
        name = first.class_names[int(counts.argmin())] if first.class_names else str(int(counts.argmin()))
        raise TurncoatError(
            f"{first.name}: class {name!r} has {int(counts.min())} training rows, but an audit needs {FEWEST} of every"
            " class: add some, or leave the class out of the file"
        )
    epochs = max(5, min(60, (QUICK_ROWS if quick else ROWS) // first.n))
    tried = []
    for number, dataset in enumerate(scaled):
        told("choosing scale and learning rate", number / len(scaled))
        tried += [(dataset, *found) for found in _tried(dataset, model, learning_rate, epochs)]
    dataset, recipe, _, _ = min(tried, key=lambda one: one[3] if math.isfinite(one[3]) else math.inf)
    data = material(models.build(model, dataset), dataset, "cpu")
    return Setting(
        dataset, data, recipe, QUICK_SHARES if quick else SHARES, (0, 1, 2) if quick else (0, 1, 2, 3),
        tuple((d.scale, r.learning_rate, stable, loss) for d, r, stable, loss in tried),
        step_stability(data.model, recipe, data.x, data.y), chance(dataset.y_test),
        QUICK_PLANNING if quick else PLANNING,
    )  # fmt: skip


def _tried(
    dataset: Dataset, model: str, learning_rate: float | None, epochs: int
) -> list[tuple[Recipe, float, float]]:
    """Recipes with their step stability and the held-out loss that they end with."""
    kept, held = stratified(dataset.y.numpy(), HELD, 0, dataset.name)
    data = material(models.build(model, dataset), dataset, "cpu")
    if data.model.in_training is not None:
        raise TurncoatError(
            f"model {data.model.name!r} acts differently while it trains, by {data.model.in_training.parts}, and an"
            " audit tries defences that look at single examples: use 'mlp', or GroupNorm in a model of your own"
        )
    part = Material(data.model, data.x[kept], data.y[kept], data.x[held], data.y[held])
    one = step_stability(data.model, Recipe(learning_rate=1.0), data.x, data.y)
    rates = [step / one for step in STEPS] if one > 0 and math.isfinite(one) else list(RATES)
    found = []
    for rate in rates if learning_rate is None else [learning_rate]:
        recipe = Recipe(epochs=epochs, learning_rate=float(f"{rate:.2g}"))
        stack = stack_run(part, recipe, 0, (CLEAN,))
        for _ in stack.advance():
            pass
        loss = float(stack.curves()[-1, 0, CURVES.index("test_loss")])
        found.append((recipe, one * recipe.learning_rate, loss))
    return found
