"""What chosen labels do to the objective in the mode in which the module trains."""

import torch
from jaxtyping import Int
from torch import Tensor

from turncoat.attack import inputs
from turncoat.attack.derivatives import CHUNK, Case, gradients
from turncoat.attack.module_call import as_trained
from turncoat.direction import Params, untargeted
from turncoat.errors import TurncoatError
from turncoat.models.modes import acting_in_training

Labelling = Int[Tensor, " k"]


def parts_in_training(case: Case, few: inputs.Inputs) -> tuple[str, ...]:
    """Names and types of the parts that act differently when the module trains."""

    def ask() -> Tensor:
        torch.manual_seed(0)  # the caller's random state is put back by at_rest
        try:
            with torch.no_grad():
                return case.body(case.body.params, few)
        except TurncoatError:
            return torch.empty(0)

    with as_trained(case.body):
        return acting_in_training(case.body.module, ask)


def objective_in_training(
    case: Case, labels: tuple[Labelling, Labelling], toward: Params | None
) -> tuple[float | None, float | None]:
    """⟨-∇L, Δ⟩ before and after, with the gradients of the module as it trains.

    Up to ``CHUNK`` examples are one batch, more are dealt into random batches of nearly equal size. Without
    ``toward``, Δ is -∇L of the first labels in training mode as well. None where the module refuses such a batch, as
    BatchNorm does a single example.
    """
    n = inputs.size(case.x)
    order = torch.arange(n)
    if n > CHUNK:
        order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    batches = order.to(case.body.device).tensor_split(-(-n // CHUNK))
    try:
        with as_trained(case.body):
            torch.manual_seed(0)  # draws dropout the same way each time
            before, after = gradients(case, labels, batches)
    except TurncoatError:
        return None, None
    aim = untargeted(before) if toward is None else toward
    return -_dot(before, aim), -_dot(after, aim)


def _dot(a: Params, b: Params) -> float:
    return float(sum((value.double() * b[name].double()).sum() for name, value in a.items()))
