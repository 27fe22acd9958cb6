"""Gradient and scores of a module of one's own under its own loss, a few examples at a time."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.attack import inputs
from turncoat.attack.heads import Head
from turncoat.attack.inputs import Inputs
from turncoat.attack.module_call import Body
from turncoat.direction import Params
from turncoat.errors import TurncoatError, reason
from turncoat.models.criterion import Criterion

CHUNK = 128  # examples whose activations are held at once

Call = Callable[[Params, Inputs], Tensor]
Push = Callable[[Call, Params, Inputs, Params], tuple[Tensor, Tensor]]


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """What derivatives are taken of: a module, its examples, its loss."""

    body: Body
    x: Inputs
    head: Head
    loss: Criterion

    def logits(self, params: Params, x: Inputs) -> Float[Tensor, "k c"]:
        """One row of class logits for each decision of these examples."""
        return self.head.logits(self.body(params, x))

    def take(self, rows: Int[Tensor, " b"] | slice) -> Inputs:
        """Some examples, where the module is."""
        return inputs.take(self.x, rows, self.body.device)

    def chunks(self) -> Iterator[Inputs]:
        """All examples in their order."""
        for start in range(0, inputs.size(self.x), CHUNK):
            yield self.take(slice(start, start + CHUNK))


def gradients(
    case: Case, labels: Sequence[Int[Tensor, " k"]], batches: Sequence[Int[Tensor, " _"]] | None = None
) -> list[Params]:
    """Gradient of the loss under each labelling; the examples of a batch go through the module together."""
    params = case.body.params
    leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
    totals = [{name: torch.zeros_like(value) for name, value in params.items()} for _ in labels]
    divisors = [case.loss.divisor(y) for y in labels]
    for rows in batches or torch.arange(inputs.size(case.x), device=case.body.device).split(CHUNK):
        with torch.enable_grad():
            logits = case.logits(leaves, case.take(rows))
        for total, y, divisor in zip(totals, labels, divisors, strict=True):
            rest = case.loss.slopes(logits.detach(), y[case.head.of(rows)]) / divisor
            found = _pulled(logits, list(leaves.values()), rest)
            for name, gradient in zip(total, found, strict=True):
                total[name] += gradient
    return totals


def scores(case: Case, push: Push, toward: Params) -> Float[Tensor, "k c"]:
    """Scores with the term that no label changes: those of the labels sum to the objective times the divisor."""
    parts = (push(case.logits, case.body.params, x, toward) for x in case.chunks())
    return torch.cat([case.loss.scores(logits, tangent) for logits, tangent in parts])


def reverse_directional(call: Call, params: Params, x: Inputs, toward: Params) -> tuple[Tensor, Tensor]:
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
    output: Tensor, leaves: list[Tensor], weights: Tensor | None, create_graph: bool = False
) -> tuple[Tensor, ...]:
    try:
        return torch.autograd.grad(
            output, leaves, weights, retain_graph=True, create_graph=create_graph, materialize_grads=True
        )
    except RuntimeError as error:
        raise TurncoatError(
            f"the module's output has no gradient ({reason(error)}): leave out what cuts the graph (detach, no_grad)"
            " and what changes a value in place"
        ) from error
