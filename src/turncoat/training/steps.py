"""The step of whoever holds the data together: where logits and labels become a residual, and that a step."""

from jaxtyping import Float, Int, Integer
from torch import Tensor

from turncoat.direction import Params
from turncoat.losses import residual
from turncoat.models.stack import Pullback
from turncoat.training.optimizers import Slots
from turncoat.training.task import RunState, Task


def server_step(task: Task, state: RunState, x: Tensor, labels: Integer[Tensor, "b r"]) -> None:
    """One optimizer step of every replica on the same examples, each with its own labels."""
    logits, pull = task.model.forward(state.params, x)
    rest = learned(task, logits, labels)
    state.step += 1
    _update(task, state.params, state.slots, state.step, pull, rest, len(x))


def learned(
    task: Task, logits: Float[Tensor, "b c r"], labels: Integer[Tensor, "b r"]
) -> Float[Tensor, "b c r"]:
    """∂ℓ/∂z of every example: the one place where a server's loss, and each example's weight in it, is decided."""
    return residual(logits, labels)


def attackers_step(task: Task, state: RunState, rows: Int[Tensor, " b"], x: Tensor) -> None:
    """The attacker's own model takes the same step on its own part of the batch, with honest labels."""
    if state.eyes is None or state.eyes_slots is None or state.inside is None:
        return
    logits, pull = task.model.forward(state.eyes, x)
    own = state.inside.index_select(0, rows)
    labels = task.y.index_select(0, rows).unsqueeze(1).expand(-1, len(state.alive))
    weight = own / own.sum(0).clamp(min=1)
    rest = residual(logits, labels) * weight.unsqueeze(1)
    _update(task, state.eyes, state.eyes_slots, state.step, pull, rest, 1)


def _update(
    task: Task, params: Params, slots: Slots, step: int, pull: Pullback, rest: Tensor, size: int
) -> None:
    def add(into: Params, weight: float) -> None:
        pull(rest, into, weight / size)

    task.optimizer.update(params, slots, step, add)
