"""How sharply a network's loss curves: the largest eigenvalue of its Hessian, by power iteration."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.direction import Params
from turncoat.models.stack import Model, zeros

ROUNDS = 20  # of the power iteration


def sharpest(model: Model, params: Params, x: Tensor, y: Int[Tensor, " n"], draw: torch.Generator) -> float:
    """Largest eigenvalue of the mean cross-entropy's Hessian for a stack of one; NaN without second derivatives."""
    v = {name: torch.randn(value.shape, generator=draw).to(x.device) for name, value in params.items()}
    soft = torch.nn.functional.one_hot(y, model.classes).to(x.dtype).unsqueeze(2)
    size = _norm(v)
    for _ in range(ROUNDS):
        if size == 0:
            return 0.0
        try:
            v = mean_hessian_product(model, params, {name: part / size for name, part in v.items()}, x, soft)
        except RuntimeError as error:  # NotImplementedError is one
            if "derivative" not in str(error):
                raise
            return float("nan")
        size = _norm(v)
    return size


def mean_hessian_product(
    model: Model, params: Params, v: Params, x: Tensor, soft: Float[Tensor, "n c r"]
) -> Params:
    """Hessian of the mean cross-entropy times ``v``, part by part."""
    total = zeros(params)
    for start in range(0, len(x), model.chunk):
        rows = slice(start, start + model.chunk)
        model.hessian_product(params, x[rows], soft[rows], v, total, 1.0 / len(x))
    return total


def _norm(v: Params) -> float:
    return math.sqrt(sum(float((part**2).sum()) for part in v.values()))
