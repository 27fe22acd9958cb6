"""What chosen labels do to the objective in the mode in which the module trains."""

import torch
from jaxtyping import Integer
from torch import Tensor

from turncoat.attack.derivatives import CHUNK, gradients
from turncoat.attack.module_call import Body, as_trained
from turncoat.direction import Params, untargeted
from turncoat.errors import TurncoatError
from turncoat.models.criterion import Criterion
from turncoat.models.modes import acting_in_training

FEW = 8  # rows on which the modes are compared

Labelling = Integer[Tensor, " n"]


def parts_in_training(body: Body, x: Tensor) -> tuple[str, ...]:
    """Names and types of the parts that act differently when the module trains."""

    def ask() -> Tensor:
        torch.manual_seed(0)  # the caller's random state is put back by at_rest
        try:
            with torch.no_grad():
                answer = body(body.params, x[:FEW])
        except TurncoatError:
            return torch.empty(0)
        return answer if isinstance(answer, Tensor) else torch.empty(0)

    with as_trained(body):
        return acting_in_training(body.module, ask)


def objective_in_training(
    body: Body, x: Tensor, labels: tuple[Labelling, Labelling], toward: Params | None, loss: Criterion
) -> tuple[float | None, float | None]:
    """⟨-∇L, Δ⟩ before and after, with the gradients of the module as it trains.

    Up to ``CHUNK`` rows are one batch, more are dealt into random batches of nearly equal size. Without ``toward``,
    Δ is -∇L of the first labels in training mode as well. None where the module refuses such a batch, as BatchNorm
    does a single row.
    """
    order = torch.arange(len(x))
    if len(x) > CHUNK:
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    batches = order.to(x.device).tensor_split(-(-len(x) // CHUNK))
    try:
        with as_trained(body):
            torch.manual_seed(0)  # draws dropout the same way each time
            before, after = gradients(body, body.params, x, labels, loss, batches)
    except TurncoatError:
        return None, None
    aim = untargeted(before) if toward is None else toward
    return -_dot(before, aim), -_dot(after, aim)


def _dot(a: Params, b: Params) -> float:
    return float(sum((value.double() * b[name].double()).sum() for name, value in a.items()))
