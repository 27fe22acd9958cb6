"""Several plain steps as one block, with one product of all their rows each way.

A step moves a layer W that eats features by -xᵀg, so of the block's batch t the layer makes
x_t W - Σ_{τ<t} (x_t x_τᵀ) g_τ, with W as it was before the block. All x W are one product, and W takes all xᵀg as
another at the end: it is read, rounded and written once a block, not once a step. What that costs, products among the
rows, is shared by all replicas. The steps are the same but for the order of sums.

In bfloat16 rounding parameters and adding to them takes as long as a third to a half of a step's products, so there it
pays; products in float32 take so long that it doesn't. Nor does it where the parameters are few: they stay in the
core's cache from step to step, and products among rows cost the same for one replica as for a hundred. On a GPU, where
a step is launches, steps are recorded instead.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.losses import without
from turncoat.training.steps import shares_inside
from turncoat.training.task import RunState, Task

ROWS = 256
"""Rows of a block: products among them grow with its square, and from here on take more than they save."""


FEW = 3 << 20
"""Bytes of a stack's first layers, in float32, below which its steps are faster one by one."""

FEW_FOR_TILES = 1 << 20
"""The same with AMX, whose products take half as long: blocks paid there with 1.4 MB, less has not been measured."""


def steps(task: Task, state: RunState) -> int:
    """How many steps to take as one; 1 where a step has to be taken by itself, or is faster so."""
    recipe, model = task.recipe, task.model
    plain = recipe.optimizer == "sgd" and not (recipe.momentum or recipe.weight_decay or recipe.clip_norm)
    fits = (
        plain and task.way.repeats and task.guard is None and model.several is not None and model.loss.plain
    )
    if task.low is None or not fits or task.x.is_cuda or task.schedule not in ("epoch", "once"):
        return 1
    first = sum(state.params[name].nbytes for name in task.model.feature_axis)
    if first < (FEW_FOR_TILES if torch.cpu._is_amx_tile_supported() else FEW):
        return 1
    return max(1, min(ROWS, len(task.y)) // recipe.batch_size)


def take(task: Task, state: RunState, rows: Int[Tensor, "s b"]) -> None:
    """One step of every replica on each of these batches, with the labels of the round; the attackers' own models'."""
    assert state.labels is not None and task.model.several is not None
    x = task.fed.index_select(0, rows.flatten()).unflatten(0, rows.shape)
    labels, each = state.labels, task.way.steps(task)
    rates = [task.recipe.rate(state.step + step, each) for step in range(1, len(rows) + 1)]

    def rest(step: int, logits: Float[Tensor, "b c r"]) -> Float[Tensor, "b c r"]:
        own = labels.index_select(0, rows[step])
        return without(logits.softmax(1), own).mul_(rates[step] / len(own))

    def attackers_rest(step: int, logits: Float[Tensor, "b c r"]) -> Float[Tensor, "b c r"]:
        assert state.inside is not None
        own = task.y.index_select(0, rows[step]).unsqueeze(1).expand(-1, logits.shape[2])
        shares = shares_inside(state.inside.index_select(0, rows[step]))
        return without(logits.softmax(1), own).mul_(shares).mul_(rates[step])

    task.model.several(state.params, x, rest)
    if state.eyes is not None:
        task.model.several(state.eyes, x, attackers_rest)
    state.step += len(rows)
