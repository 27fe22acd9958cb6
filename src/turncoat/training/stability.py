"""Is the step stable on the clean problem? Harm beyond that point measures instability as much as the attack."""

import torch
from torch import Tensor

from turncoat.metrics import largest_eigenvalue
from turncoat.models.curvature import sharpest
from turncoat.models.stack import Model
from turncoat.randomness import generator
from turncoat.recipe import Recipe

UNSTABLE_STEP = "unstable-step"
SAMPLE = 512  # examples behind a network's curvature


def step_stability(model: Model, recipe: Recipe, x: Tensor, y: Tensor, seed: int = 0) -> float:
    """η·λ_max/2 of the clean loss: above 1, gradient descent overshoots along its steepest direction.

    For regression λ_max is the bound that holds at all parameters, ½ (softmax) or ¼ (sigmoid) of
    λ_max(XᵀX/n). For a network it is the Hessian's at the start, on a random sample; NaN where an operation has
    no second derivative. Momentum β widens the stable range by 1 + β. Adam rescales every step, and a
    network with BatchNorm or dropout is another one while it trains, so the criterion does not apply: NaN.
    """
    if recipe.optimizer != "sgd" or model.in_training is not None:
        return float("nan")
    if model.curvature is not None:
        curved = model.curvature * largest_eigenvalue(x)
    else:
        curved = _network_curvature(model, x, y, seed)
    return recipe.learning_rate * (curved + recipe.weight_decay) / 2 / (1 + recipe.momentum)


def _network_curvature(model: Model, x: Tensor, y: Tensor, seed: int) -> float:
    draw = generator(seed, "curvature")
    rows = torch.randperm(len(x), generator=draw)[:SAMPLE].to(x.device)
    params = {k: v.to(x.device) for k, v in model.init(generator(seed, "init"), 1).items()}
    return sharpest(model, params, x[rows], y[rows], draw)
