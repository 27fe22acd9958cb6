"""The attack for one's own training loop: the labels that turn a module's next step around most.

flips = turncoat.worst_flips(model, x, y, flips=100)
for inputs, labels in DataLoader(turncoat.FlippedLabels(dataset, flips), batch_size=64, shuffle=True):
    ...
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from turncoat.attack.given import check_classes, check_input, check_scores, checked_direction
from turncoat.attack.selection import Rule, Selection, flip_labels, resolve
from turncoat.direction import Params, untargeted
from turncoat.errors import TurncoatError
from turncoat.models.probe import last_layer
from turncoat.models.scores import (
    LogitsFn,
    Loss,
    centred,
    check_logits,
    directional,
    loss_scores,
    plain_kernels,
    slopes,
)
from turncoat.models.stack import head_only

Push = Callable[[LogitsFn, Params, Tensor, Params], tuple[Tensor, Tensor]]

CHUNK = 128  # examples whose activations are held at once


@dataclasses.dataclass(frozen=True, eq=False)
class Flips:
    """Chosen labels, and what they do to the objective ⟨-∇L, Δ⟩ of the mean loss L."""

    labels: Int[Tensor, " n"]  # of all examples
    indices: Int[Tensor, " p"]  # the examples whose label changed, rising
    gain: Float[Tensor, " p"]  # what each of these flips adds to the objective
    alignment_before: float
    alignment_after: float


def worst_flips(
    module: nn.Module,
    x: Tensor,
    y: Int[Tensor, " n"],
    flips: int,
    direction: str | Params = "untargeted",
    loss: Loss | None = None,
    selection: "str | Rule" = "optimal",
    generator: torch.Generator | None = None,
) -> Flips:
    """The labels with at most ``flips`` changes that minimise ⟨-∇L, Δ⟩ at the module's parameters.

    ``direction`` is Δ, one tensor per trainable parameter by name, or "untargeted" for -∇L of the given labels;
    ``loss(logits (c,), label) -> scalar`` replaces cross-entropy. The module is scored in evaluation mode
    (BatchNorm uses its running statistics, dropout is off) and left exactly as it was.

    Raises:
        TurncoatError: for flips outside 0 … n, labels that are no class, a direction that does not fit, an output
            that is not (n, c), a loss that is not per example, or an operation without a forward-mode derivative.
    """
    check_input(x, y, flips)
    rule = resolve(selection)
    draw = generator if generator is not None else torch.Generator().manual_seed(0)
    with _at_rest(module) as (call, params):
        check_classes(call, params, x, y)
        if isinstance(direction, str):
            if direction != "untargeted":
                raise TurncoatError(
                    f"direction is {direction!r}, but must be 'untargeted' or one tensor per parameter"
                )
            toward = untargeted(_gradient(call, params, x, y, loss))
        else:
            toward = checked_direction(params, direction)
        kind = rule.needs if isinstance(rule, Selection) else "scores"
        if kind in ("scores", "centred"):
            seen = worth = _scores(directional, call, params, x, toward, loss)
        else:  # such a rule works without forward mode, so what it is worth is found without it too
            worth = _scores(_reverse_directional, call, params, x, toward, loss)
            seen = _seen(kind, module, call, params, x, toward, worth, loss)
        check_scores(worth, x, params)
        labels = flip_labels(rule, seen, y, torch.arange(len(y), device=y.device), flips, draw)
    return _judged(worth, y, labels)


@contextlib.contextmanager
def _at_rest(module: nn.Module) -> Iterator[tuple[LogitsFn, Params]]:
    """The module as a function in evaluation mode, and its parameters; modes and random state are put back."""
    modes = {part: part.training for part in module.modules()}
    params = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
    fixed = {name: p.detach() for name, p in module.named_parameters() if not p.requires_grad}
    buffers = {name: value.detach() for name, value in module.named_buffers()}
    if not params:
        raise TurncoatError("the module has no trainable parameters, so its step has no direction")
    devices = {p.device for p in params.values() if p.is_cuda}

    def call(values: Params, x: Tensor) -> Tensor:
        copies = {name: value.clone() for name, value in buffers.items()}  # a module may write to its buffers
        result: Tensor = functional_call(module, fixed | copies | values, (x,))
        return result

    try:
        module.eval()
        with torch.random.fork_rng(devices=devices), plain_kernels():
            yield call, params
    finally:
        for part, mode in modes.items():
            part.training = mode


def _seen(
    kind: str,
    module: nn.Module,
    call: LogitsFn,
    params: Params,
    x: Tensor,
    toward: Params,
    worth: Float[Tensor, "n c"],
    loss: Loss | None,
) -> Float[Tensor, "n c"]:
    """What a rule that does not read the scores themselves reads in their place."""
    if kind == "logits":
        with torch.no_grad():
            return torch.cat([call(params, rows) for rows in x.split(CHUNK)])
    if kind == "last_layer":
        head = head_only(toward, last_layer(module, lambda: call(params, x[:1])))
        return _scores(_reverse_directional, call, params, x, head, loss)
    return worth


def _scores(
    push: Push, call: LogitsFn, params: Params, x: Tensor, toward: Params, loss: Loss | None
) -> Float[Tensor, "n c"]:
    """Scores with the term that no label changes, so that the labels' scores sum to n times the objective."""

    def part(rows: Tensor) -> Tensor:
        logits, tangent = push(call, params, rows, toward)
        return centred(tangent, logits) if loss is None else loss_scores(logits, tangent, loss)

    return torch.cat([part(rows) for rows in x.split(CHUNK)])


def _reverse_directional(call: LogitsFn, params: Params, x: Tensor, toward: Params) -> tuple[Tensor, Tensor]:
    """Like ``directional``, but by reverse mode twice: slower, and works where forward mode does not."""
    leaves = {name: params[name].clone().requires_grad_() for name in toward}
    with torch.enable_grad():
        logits = call(params | leaves, x)
        probe = torch.zeros_like(logits, requires_grad=True)
        pulled = torch.autograd.grad(
            logits, list(leaves.values()), probe, create_graph=True, materialize_grads=True
        )
        along = sum((g * toward[name]).sum() for name, g in zip(leaves, pulled, strict=True))
        assert isinstance(along, Tensor)
        (tangent,) = torch.autograd.grad(along, probe, materialize_grads=True)
    return logits.detach(), tangent


def _gradient(call: LogitsFn, params: Params, x: Tensor, y: Tensor, loss: Loss | None) -> Params:
    """Gradient of the mean loss."""
    leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
    total = {name: torch.zeros_like(value) for name, value in params.items()}
    for rows, labels in zip(x.split(CHUNK), y.split(CHUNK), strict=True):
        with torch.enable_grad():
            logits = call(leaves, rows)
            check_logits(logits, len(rows))
        rest = _slopes(logits.detach(), labels.long(), loss) / len(x)
        parts = torch.autograd.grad(logits, list(leaves.values()), rest, materialize_grads=True)
        for name, gradient in zip(total, parts, strict=True):
            total[name] += gradient
    return total


def _slopes(logits: Float[Tensor, "n c"], y: Tensor, loss: Loss | None) -> Float[Tensor, "n c"]:
    if loss is None:
        return logits.softmax(1) - nn.functional.one_hot(y, logits.shape[1]).to(logits.dtype)
    result = torch.empty_like(logits)
    for label in y.unique().tolist():
        result[y == label] = slopes(loss, logits[y == label], label)
    return result


def _judged(worth: Float[Tensor, "n c"], y: Tensor, labels: Tensor) -> Flips:
    indices = (labels != y).nonzero().squeeze(1)
    before = worth.gather(1, y.long().unsqueeze(1)).squeeze(1).double()
    after = worth.gather(1, labels.long().unsqueeze(1)).squeeze(1).double()
    gain = (after - before)[indices] / len(y)
    return Flips(labels, indices, gain.to(worth.dtype), float(before.mean()), float(after.mean()))
