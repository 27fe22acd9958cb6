"""Gradient attacks: what a worker could send if it were not held to labels. A reference, not this threat model.

They break the labels-only rule and bound from above what label flips can do with the same share of workers. Each
is ``attack(honest (r, w, p), hostile, generator) -> (r, hostile, p)``: what all hostile workers send, given what
the honest ones sent (an omniscient attacker).
"""

from collections.abc import Callable
from statistics import NormalDist

import torch
from jaxtyping import Float
from torch import Tensor

GradientAttack = Callable[[Tensor, int, torch.Generator], Tensor]


def sign_flip(
    honest: Float[Tensor, "r w p"], hostile: int, generator: torch.Generator
) -> Float[Tensor, "r h p"]:
    """The honest mean with its sign changed (Allen-Zhu et al. 2021)."""
    return _all(-honest.mean(1), hostile)


def inner_product(
    honest: Float[Tensor, "r w p"], hostile: int, generator: torch.Generator, scale: float = 0.5
) -> Float[Tensor, "r h p"]:
    """A small multiple of the honest mean with its sign changed, to pass distance rules (IPM, Xie et al. 2020)."""
    return _all(-scale * honest.mean(1), hostile)


def little_is_enough(
    honest: Float[Tensor, "r w p"], hostile: int, generator: torch.Generator
) -> Float[Tensor, "r h p"]:
    """Mean minus z standard deviations, z as large as still hides among the honest (ALIE, Baruch et al. 2019)."""
    workers = honest.shape[1] + hostile
    needed = workers // 2 + 1 - hostile
    supporters = (workers - hostile - needed) / max(1, workers - hostile)
    z = NormalDist().inv_cdf(min(max(supporters, 1e-3), 1 - 1e-3))
    spread = honest.std(1, correction=0)
    return _all(honest.mean(1) - abs(z) * spread, hostile)


def mimic(honest: Float[Tensor, "r w p"], hostile: int, generator: torch.Generator) -> Float[Tensor, "r h p"]:
    """Everyone copies the first honest worker, whose data then count too much (Karimireddy et al. 2022)."""
    return _all(honest[:, 0], hostile)


def gaussian(
    honest: Float[Tensor, "r w p"], hostile: int, generator: torch.Generator, deviation: float = 200.0
) -> Float[Tensor, "r h p"]:
    """Normal noise of standard deviation 200, one draw for all replicas (Blanchard et al. 2017)."""
    noise = torch.randn(hostile, honest.shape[2], generator=generator) * deviation
    return noise.to(honest).expand(len(honest), -1, -1)


def min_max(
    honest: Float[Tensor, "r w p"], hostile: int, generator: torch.Generator
) -> Float[Tensor, "r h p"]:
    """As far against the mean as stays within the honest workers' largest distance (Min-Max, Shejwalkar 2021)."""
    mean = honest.mean(1)
    away = -mean / mean.norm(dim=1, keepdim=True).clamp(min=1e-30)
    centred = honest - mean.unsqueeze(1)
    widest = torch.cdist(centred, centred).amax((1, 2))
    along = torch.einsum("rwp,rp->rw", centred, away)
    square = centred.square().sum(2)
    # ‖g_i - (mean + γ·away)‖² = ‖centred_i‖² - 2γ⟨centred_i, away⟩ + γ²: the largest γ that all i allow
    room = (along.square() + (widest.square().unsqueeze(1) - square).clamp(min=0)).sqrt()
    reach = (along + room).amin(1).clamp(min=0)
    return _all(mean + reach.unsqueeze(1) * away, hostile)


def _all(message: Float[Tensor, "r p"], hostile: int) -> Float[Tensor, "r h p"]:
    return message.unsqueeze(1).expand(-1, hostile, -1)


GRADIENT_ATTACKS: dict[str, GradientAttack] = {
    "sign_flip": sign_flip,
    "inner_product": inner_product,
    "little_is_enough": little_is_enough,
    "mimic": mimic,
    "gaussian": gaussian,
    "min_max": min_max,
}
