"""Is the step stable on the clean problem? Harm beyond that point measures instability as much as the attack."""

import torch
from torch import Tensor
from torch.func import grad, jvp

from turncoat.attack.direction import Params
from turncoat.metrics import largest_eigenvalue
from turncoat.models.stack import Model
from turncoat.randomness import generator
from turncoat.training.recipe import Recipe

UNSTABLE_STEP = "unstable-step"
SAMPLE = 1024  # examples behind a network's curvature
ROUNDS = 20  # power iterations on a network's Hessian


def step_stability(model: Model, recipe: Recipe, x: Tensor, y: Tensor, seed: int = 0) -> float:
    """η·λ_max/2 of the clean loss: above 1, gradient descent overshoots along its steepest direction.

    For regression λ_max is the bound that holds at all parameters, ½ (softmax) or ¼ (sigmoid) of
    λ_max(XᵀX/n). For a network it is the Hessian's at the start, on a sample. Momentum β widens the stable
    range by 1 + β. Adam rescales every step, so the criterion does not apply: NaN.
    """
    if recipe.optimizer != "sgd":
        return float("nan")
    if model.curvature is not None:
        sharpest = model.curvature * largest_eigenvalue(x)
    else:
        sharpest = _network_curvature(model, x[:SAMPLE], y[:SAMPLE], seed)
    return recipe.learning_rate * (sharpest + recipe.weight_decay) / 2 / (1 + recipe.momentum)


def _network_curvature(model: Model, x: Tensor, y: Tensor, seed: int) -> float:
    params = {k: v.to(x.device) for k, v in model.init(generator(seed, "init"), 1).items()}

    def loss(p: Params) -> Tensor:
        return torch.nn.functional.cross_entropy(model.logits(p, x).squeeze(2), y)

    draw = generator(seed, "curvature")
    v = {name: torch.randn(value.shape, generator=draw).to(x.device) for name, value in params.items()}
    size = 0.0
    for _ in range(ROUNDS):
        norm = sum(float((part**2).sum()) for part in v.values()) ** 0.5
        if norm == 0:
            return 0.0
        v = {name: part / norm for name, part in v.items()}
        _, v, *_ = jvp(grad(loss), (params,), (v,))
        size = sum(float((part**2).sum()) for part in v.values()) ** 0.5
    return size
