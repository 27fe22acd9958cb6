"""Models on parts of the rows, trained as one stack, and what they answer."""

import dataclasses
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

from turncoat.models.stack import Model
from turncoat.recipe import Recipe
from turncoat.training.own import Parts, parts_of, trained_tiles, usual_recipe

Progress = Callable[[int, int], None]  # models trained, models in all


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """All that trains but the labels: a model's training is a function of the labels of its own part alone."""

    model: Model
    recipe: Recipe
    x: Tensor  # (n, …) as the model eats it
    parts: Parts
    seed: int

    def some(self, models: Int[Tensor, " s"]) -> "Ensemble":
        """The models of these numbers."""
        return dataclasses.replace(self, parts=self.parts.some(models))


@dataclasses.dataclass(frozen=True)
class Ballots:
    """Every model's answer, and how many models prefer one class to another."""

    first: Integer[Tensor, "t m"]
    preferred: Int[Tensor, "t c c"] | None  # preferred[:, a, b] models prefer a to b; where it was asked for


def ensemble(
    model: Model, x: Tensor, groups: Sequence[Int[Tensor, " _"]], recipe: Recipe | None, seed: int
) -> Ensemble:
    """Models on the rows of ``groups``; without a recipe, with one that looks at the features alone."""
    x = model.prepare(x)
    parts = parts_of(groups)
    return Ensemble(model, recipe or usual_recipe(model, x, parts.rows.shape[1]), x, parts, seed)


def ballots(
    voters: Ensemble,
    labels: Int[Tensor, " n"],
    x_test: Tensor,
    ranked: bool,
    progress: Progress | None = None,
) -> Ballots:
    """Train every model on these labels and ask it for every test example; equal logits go to the lower label."""
    parts, model = voters.parts, voters.model
    first, preferred = [], None
    seeds = [voters.seed] * len(parts)
    for few, params in trained_tiles(model, voters.recipe, voters.x, labels[parts.rows], parts, seeds):
        answers = [model.logits(params, some) for some in x_test.split(model.chunk)]
        first.append(torch.cat([z.max(1).indices.to(torch.int16) for z in answers]))
        if ranked:
            told = torch.cat([_preferred(z) for z in answers])
            preferred = told if preferred is None else preferred + told
        if progress is not None:
            progress(few.start + first[-1].shape[1], len(parts))
    return Ballots(torch.cat(first, 1), preferred)


def _preferred(logits: Float[Tensor, "t c r"]) -> Int[Tensor, "t c c"]:
    classes = logits.shape[1]
    rivals = torch.arange(classes, device=logits.device).unsqueeze(1)
    rows = []
    for own in range(classes):
        z = logits[:, own : own + 1]
        rows.append(((z > logits) | ((z == logits) & (own < rivals))).sum(2))
    return torch.stack(rows, 1)
