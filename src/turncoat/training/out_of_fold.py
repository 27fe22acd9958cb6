"""What models say of rows that they have not learned from."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

from turncoat.models.stack import Model, take
from turncoat.recipe import Recipe
from turncoat.training.own import parts_of, train_own

Split = Sequence[tuple[Int[Tensor, " k"], Int[Tensor, " h"]]]
"""The folds: for each, the rows that its model learns from, and those that it does not."""


def out_of_fold(
    model: Model, recipe: Recipe, x: Tensor, labels: Integer[Tensor, "n r"], split: Split, seed: int
) -> Float[Tensor, "r n c"]:
    """Probabilities of every row by a model that learned from the other folds, for each labelling; one stack."""
    n, labellings = labels.shape
    parts = parts_of([kept for _ in range(labellings) for kept, _ in split])
    own = labels.long().T.repeat_interleave(len(split), 0).gather(1, parts.rows)
    params = train_own(model, recipe, x, own, parts, [seed] * len(parts))
    found = torch.empty(labellings, n, model.classes)
    for fold, (_, held) in enumerate(split):
        every = torch.arange(fold, len(parts), len(split))  # this fold's model of each labelling
        some = take(params, every, model.replica_axis)
        for rows in held.split(model.chunk):
            found[:, rows] = model.logits(some, x[rows]).softmax(1).permute(2, 0, 1)
    return found
