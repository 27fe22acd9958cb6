"""Leading directions of the features, in which a linear model is planned.

There its training is cheaper, and a step that is too long for the sharpest directions can be shortened in these
alone: what settles within one step is then settled after it, instead of overshooting.
"""

import torch
from jaxtyping import Float
from torch import Tensor

DIRECTIONS = 160
LEAST = 1e-9  # of the largest eigenvalue: what is below is rounding


def leading(x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " m"], Float[Tensor, "d m"]]:
    """The largest eigenvalues of XᵀX/n, falling, and their eigenvectors."""
    values, vectors = torch.linalg.eigh((x.T @ x / len(x)).double())
    values, vectors = values.flip(0)[:DIRECTIONS], vectors.flip(1)[:, :DIRECTIONS]
    kept = values > LEAST * values[0]
    return values[kept].to(x.dtype), vectors[:, kept].to(x.dtype)


def shortened(curvature: Float[Tensor, " m"], rate: float) -> Float[Tensor, " m"]:
    """What a step of length ``rate`` is multiplied with where the loss curves so: (1 - exp(-rate·μ))/(rate·μ).

    An exponential Euler step: exact where the gradient is μ times the parameter.
    """
    bend = (rate * curvature).double()
    return torch.where(bend > 1e-6, -torch.expm1(-bend) / bend.clamp(min=1e-12), 1.0).to(curvature.dtype)
