"""From soft labels to flips: what an attacker does in one round, within its budget to the last flip."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.attack.rivals import at_random

ROUNDING = 0.01  # of a flip
SCALINGS = 30  # until chances that were cut at 1 are made up for by the others


def meant(soft: Float[Tensor, "m c"], labels: Int[Tensor, " m"], limit: float, budget: int) -> float:
    """How many flips the soft labels of a round's rows mean: their flipped mass over each row's limit.

    A budget that is all but spent is meant to be: the mass is met to a rounding.
    """
    wanted = (len(labels) - float(soft.gather(1, labels.unsqueeze(1)).sum())) / limit
    return float(budget) if wanted > budget - ROUNDING else wanted


def drawn_flips(
    soft: Float[Tensor, "m c"],
    labels: Int[Tensor, " m"],
    limit: float,
    flips: float,
    generator: torch.Generator,
) -> Int[Tensor, " m"]:
    """Labels of the rows that may be written to in this round: each is flipped with probability f_i / limit.

    The chances are scaled to sum to ``flips``, as K is drawn and its sum differs from the mean's. Systematic sampling
    (Madow 1949) then spends them exactly where they are whole, else the number below or above.
    """
    if not flips or not len(labels):
        return labels.clone()
    index = labels.unsqueeze(1)
    mass = 1 - soft.double().gather(1, index).squeeze(1)
    chance = _scaled((mass / limit).clamp(0, 1), flips)
    draw = torch.rand(len(labels) + 1, generator=generator, dtype=torch.float64).to(soft.device)
    passed = torch.cat([draw[:1], draw[0] + chance.cumsum(0)])
    # a sum that is meant to be whole must not fall short of it by rounding
    hit = (passed[1:] + 1e-9).floor() > (passed[:-1] + 1e-9).floor()
    others = soft.double().scatter(1, index, 0.0).cumsum(1)
    wanted = (others > draw[1:].unsqueeze(1) * others[:, -1:]).max(1).indices
    hit &= (hit.cumsum(0) <= math.ceil(flips)) & (wanted != labels) & (others[:, -1] > 0)
    return torch.where(hit, wanted.to(labels.dtype), labels)


def fixed_flips(
    soft: Float[Tensor, "m c"], labels: Int[Tensor, " m"], flips: int, generator: torch.Generator
) -> Int[Tensor, " m"]:
    """Labels chosen once and for all: the ``flips`` rows that the plan flips most, each to its likeliest label."""
    index = labels.unsqueeze(1)
    mass = 1 - soft.gather(1, index).squeeze(1)
    order = at_random(soft, labels, generator).argsort()  # ties fall at random
    most = order[mass[order].argsort(descending=True, stable=True)][:flips]
    most = most[mass[most] > 0]
    result = labels.clone()
    result[most] = soft[most].scatter(1, index[most], -1.0).max(1).indices.to(labels.dtype)
    return result


def _scaled(chance: Float[Tensor, " m"], total: float) -> Float[Tensor, " m"]:
    """The chances in proportion, none above 1, that sum to ``total`` or come as near as they can."""
    for _ in range(SCALINGS):
        now = float(chance.sum())
        if now == 0 or abs(now - total) < 1e-9:
            break
        chance = (chance * (total / now)).clamp(max=1)
    return chance
