"""Is the step stable on the clean problem? Harm beyond that point measures instability as much as the attack."""

import math

import torch
from torch import Tensor

from turncoat.direction import Params
from turncoat.metrics import largest_eigenvalue
from turncoat.models.scores import plain_kernels
from turncoat.models.stack import Model, zeros
from turncoat.randomness import generator
from turncoat.recipe import Recipe

UNSTABLE_STEP = "unstable-step"
SAMPLE = 512  # examples behind a network's curvature
ROUNDS = 20  # power iterations on a network's Hessian


def step_stability(model: Model, recipe: Recipe, x: Tensor, y: Tensor, seed: int = 0) -> float:
    """η·λ_max/2 of the clean loss: above 1, gradient descent overshoots along its steepest direction.

    For regression λ_max is the bound that holds at all parameters, ½ (softmax) or ¼ (sigmoid) of
    λ_max(XᵀX/n). For a network it is the Hessian's at the start, on a random sample; NaN where an operation has
    no second derivative. Momentum β widens the stable range by 1 + β. Adam rescales every step, so the criterion
    does not apply: NaN.
    """
    if recipe.optimizer != "sgd":
        return float("nan")
    if model.curvature is not None:
        sharpest = model.curvature * largest_eigenvalue(x)
    else:
        sharpest = _network_curvature(model, x, y, seed)
    return recipe.learning_rate * (sharpest + recipe.weight_decay) / 2 / (1 + recipe.momentum)


def _network_curvature(model: Model, x: Tensor, y: Tensor, seed: int) -> float:
    draw = generator(seed, "curvature")
    rows = torch.randperm(len(x), generator=draw)[:SAMPLE].to(x.device)
    x, y = x[rows], y[rows]
    params = {k: v.to(x.device) for k, v in model.init(generator(seed, "init"), 1).items()}
    v = {name: torch.randn(value.shape, generator=draw).to(x.device) for name, value in params.items()}
    size = _norm(v)
    for _ in range(ROUNDS):
        if size == 0:
            return 0.0
        try:
            v = hessian_product(model, params, {name: part / size for name, part in v.items()}, x, y)
        except RuntimeError as error:  # NotImplementedError is one
            if "derivative" not in str(error):
                raise
            return float("nan")
        size = _norm(v)
    return size


def hessian_product(model: Model, params: Params, v: Params, x: Tensor, y: Tensor) -> Params:
    """Hessian of the mean cross-entropy times ``v``, for a stack of one: reverse mode twice, part by part."""
    total = zeros(params)
    for start in range(0, len(x), model.chunk):
        rows = slice(start, start + model.chunk)
        leaves = {name: value.detach().clone().requires_grad_() for name, value in params.items()}
        wanted = list(leaves.values())
        with torch.enable_grad(), plain_kernels():
            logits = model.logits(leaves, x[rows]).squeeze(2)
            loss = torch.nn.functional.cross_entropy(logits, y[rows], reduction="sum") / len(x)
            slope = torch.autograd.grad(loss, wanted, create_graph=True, materialize_grads=True)
            along = torch.stack([(g * v[name]).sum() for name, g in zip(leaves, slope, strict=True)]).sum()
            curved = torch.autograd.grad(along, wanted, materialize_grads=True)
        for name, part in zip(leaves, curved, strict=True):
            total[name] += part
    return total


def _norm(v: Params) -> float:
    return math.sqrt(sum(float((part**2).sum()) for part in v.values()))
