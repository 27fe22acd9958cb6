"""The guard of a stack, and the loss of its model, as its recipe's defence says."""

import dataclasses
from functools import partial

import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

from turncoat.defence import Part, chain, number
from turncoat.defences import confident, gold, knn
from turncoat.defences.guard import Filter, Guard
from turncoat.defences.loss import loss_of
from turncoat.errors import TurncoatError
from turncoat.models.stack import Model
from turncoat.randomness import generator
from turncoat.recipe import Recipe
from turncoat.training.out_of_fold import out_of_fold
from turncoat.training.own import usual_recipe

FOLDS = 3


def defended(model: Model, recipe: Recipe) -> Model:
    """The model with the loss that it is trained with.

    Raises:
        TurncoatError: if its examples' gradients are to be clipped, and it has no norms of them.
    """
    loss = loss_of(chain(recipe.defence))
    if loss.clip is not None and model.label_norms is None:
        raise TurncoatError(
            f"defence 'clip' needs every example's gradient norm, which model {model.name!r} does not give: use model"
            " 'logistic' or 'mlp', or leave clip out"
        )
    return model if loss.plain else dataclasses.replace(model, loss=loss)


def guard_of(model: Model, recipe: Recipe, x: Tensor, y: Int[Tensor, " n"], seed: int) -> Guard | None:
    """What the learner trusts of these training rows; None where it trusts all.

    Raises:
        TurncoatError: for more gold rows or neighbours than there are, or without a package that is needed.
    """
    parts = chain(recipe.defence)
    check_size(parts, len(y))
    filters = tuple(_filter(part, model, x, seed) for part in parts if part.acts == "round")
    trimmed = number(parts, "trimmed_loss") or 0.0
    known = number(parts, "gold") or number(parts, "gold_alone")
    if not filters and not trimmed and not known:
        return None
    rows = gold.rows(len(y), int(known), seed).to(y.device) if known else None
    return Guard(filters, trimmed, rows, alone=number(parts, "gold_alone") is not None)


def check_size(parts: tuple[Part, ...], n: int) -> None:
    """Accept a chain of defences for so many training rows.

    Raises:
        TurncoatError: for more gold rows, neighbours or parts than there are rows, or without cleanlab.
    """
    for part in parts:
        most = {"gold": n, "gold_alone": n, "knn": n - 1, "partitions": n}.get(part.name)
        if most is not None and part.numbers[0] > most:
            raise TurncoatError(
                f"defence {str(part)!r}, but there are {n} training rows: type at most {most}"
            )
        if part.name == "confident":
            confident.check_installed()


def _filter(part: Part, model: Model, x: Tensor, seed: int) -> Filter:
    if part.name == "knn":
        near = knn.neighbours(x, int(part.numbers[0]))
        return partial(knn.agreed, near=near)
    return partial(confident.trusted, out_of_fold=partial(by_random_folds, model, x, seed))


def by_random_folds(
    model: Model, x: Tensor, seed: int, labels: Integer[Tensor, "n r"]
) -> Float[Tensor, "r n c"]:
    """Out-of-fold probabilities of every row, for each replica's labels."""
    fold_of = torch.randperm(len(labels), generator=generator(seed, "folds")) % FOLDS
    split = [((fold_of != f).nonzero().squeeze(1), (fold_of == f).nonzero().squeeze(1)) for f in range(FOLDS)]
    recipe = usual_recipe(model, x, max(len(kept) for kept, _ in split))
    return out_of_fold(model, recipe, x, labels, split, seed)
