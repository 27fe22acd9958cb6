"""Gradient and scores of a module of one's own under its own loss, a few rows at a time."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from turncoat.direction import Params
from turncoat.errors import TurncoatError, reason
from turncoat.models.criterion import Criterion
from turncoat.models.scores import LogitsFn, check_logits

CHUNK = 128  # examples whose activations are held at once

Push = Callable[[LogitsFn, Params, Tensor, Params], tuple[Tensor, Tensor]]


def gradients(
    call: LogitsFn,
    params: Params,
    x: Tensor,
    labels: Sequence[Integer[Tensor, " n"]],
    loss: Criterion,
    parts: Sequence[Tensor] | None = None,
) -> list[Params]:
    """Gradient of the loss under each labelling; ``parts`` are the rows that go through the module together."""
    leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
    totals = [{name: torch.zeros_like(value) for name, value in params.items()} for _ in labels]
    divisors = [loss.divisor(y) for y in labels]
    for rows in parts or torch.arange(len(x), device=x.device).split(CHUNK):
        with torch.enable_grad():
            logits = call(leaves, x[rows])
            check_logits(logits, len(rows))
        for total, y, divisor in zip(totals, labels, divisors, strict=True):
            rest = loss.slopes(logits.detach(), y[rows]) / divisor
            found = _pulled(logits, list(leaves.values()), rest)
            for name, gradient in zip(total, found, strict=True):
                total[name] += gradient
    return totals


def scores(
    push: Push, call: LogitsFn, params: Params, x: Tensor, toward: Params, loss: Criterion
) -> Float[Tensor, "n c"]:
    """Scores with the term that no label changes: those of the labels sum to the objective times the divisor."""

    def part(rows: Tensor) -> Tensor:
        logits, tangent = push(call, params, rows, toward)
        return loss.scores(logits, tangent)

    return torch.cat([part(rows) for rows in x.split(CHUNK)])


def reverse_directional(call: LogitsFn, params: Params, x: Tensor, toward: Params) -> tuple[Tensor, Tensor]:
    """Like ``directional``, but by reverse mode twice: slower, and works where forward mode does not.

    Raises:
        TurncoatError: if an operation cannot be differentiated twice.
    """
    leaves = {name: params[name].clone().requires_grad_() for name in toward}
    with torch.enable_grad():
        logits = call(params | leaves, x)
        probe = torch.zeros_like(logits, requires_grad=True)
        pulled = _pulled(logits, list(leaves.values()), probe, create_graph=True)
        along = sum((g * toward[name]).sum() for name, g in zip(leaves, pulled, strict=True))
        assert isinstance(along, Tensor)
        (tangent,) = _pulled(along, [probe], None)
    return logits.detach(), tangent


def _pulled(
    output: Tensor, inputs: list[Tensor], weights: Tensor | None, create_graph: bool = False
) -> tuple[Tensor, ...]:
    try:
        return torch.autograd.grad(
            output, inputs, weights, retain_graph=True, create_graph=create_graph, materialize_grads=True
        )
    except RuntimeError as error:
        raise TurncoatError(
            f"the module's output has no gradient ({reason(error)}): leave out what cuts the graph (detach, no_grad)"
            " and what changes a value in place"
        ) from error
