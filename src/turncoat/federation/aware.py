"""An attacker that knows the server's rule: it tries several numbers of flips against the true aggregate.

The optimal flips are exact for the mean. A robust rule may cut off what stands out, so that fewer flips can move
the aggregate farther. Nothing but the number of flips is searched, and full use of the budget is always tried.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.attack.direction import Params
from turncoat.federation.members import Members
from turncoat.federation.messages import differences, gradients, pack
from turncoat.models.stack import Model

FRACTIONS = (1.0, 0.5, 0.25, 0.125)  # of the budget; ties go to the larger share


def sent(
    model: Model, members: Members, params: Params, x: Tensor, labels: Int[Tensor, "w b r"], rate: float
) -> Float[Tensor, "r w p"]:
    """What workers' software sends for these labels: gradients, or differences after local steps."""
    steps = members.setting.local_steps
    if steps == 1:
        result = gradients(model, params, x, labels)
    else:
        result = differences(model, params, x, labels, steps, rate)
    return result.transpose(0, 1)


def most_harmful(
    model: Model,
    members: Members,
    params: Params,
    direction: Params,
    x: Tensor,
    candidates: list[Int[Tensor, "w b r"]],
    rate: float,
) -> Int[Tensor, " r"]:
    """Index of the candidate labels whose true aggregate is the most anti-aligned with Δ, per replica."""
    toward = pack(model, direction)
    values = []
    for labels in candidates:
        update = members.aggregate(sent(model, members, params, x, labels, rate), members.setting.f)
        values.append(-(update * toward).sum(1))
    return torch.stack(values).argmin(0)
