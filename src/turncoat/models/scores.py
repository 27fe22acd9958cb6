"""What each label of each example is worth along a direction: exact for any differentiable classifier.

Cross-entropy's gradient is affine in the one-hot label, so the objective ⟨-∇L, Δ⟩ is a sum over the examples
of S[i, y_i] and a term without labels, where S[i, c] is the directional derivative of logit c along Δ.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from turncoat.direction import Params
from turncoat.errors import TurncoatError, first_line
from turncoat.models.criterion import Loss
from turncoat.models.known_losses import criterion

LogitsFn = Callable[[Params, Tensor], Tensor]
Rows = TypeVar("Rows")  # some examples, in whatever form the model takes them

CHUNK = 4096  # examples whose activations are held at once


def label_scores(
    logits_fn: LogitsFn,
    params: Params,
    x: Tensor,
    direction: Params,
    loss: Loss | None = None,
    chunk: int = CHUNK,
) -> Float[Tensor, "n c"]:
    """Score of every label of every example: what it adds to n·⟨-∇L, Δ⟩ if the example carries that label.

    One forward-mode product for all examples and classes together. ``logits_fn(params, x)`` gives the logits
    (n, c); examples must not influence each other. Parameters that ``direction`` leaves out do not move.
    Without ``loss`` (cross-entropy) the score is S[i, c] = (J_i Δ)_c; with ``loss(logits (c,), label) -> scalar``,
    or ``nn.CrossEntropyLoss`` with weights or smoothing, it is -⟨∂ℓ/∂z(z_i, c), J_i Δ⟩, and the sum over the
    examples is that of the loss's sum, whatever its mean divides by.

    Raises:
        TurncoatError: if the output is not (n, c), the direction does not fit the parameters, the loss is not
            one number per example, or an operation of the model has no forward-mode derivative.
    """
    parts = [_scores(logits_fn, params, part, direction, loss) for part in x.split(chunk)]
    return torch.cat(parts)


def centred(scores: Float[Tensor, "n c *r"], logits: Float[Tensor, "n c *r"]) -> Float[Tensor, "n c *r"]:
    """Z = S - Σ_c softmax_c·S[·, c]: the form in which the papers print their multi-class rule."""
    return scores - (logits.softmax(1) * scores).sum(1, keepdim=True)


def directional(
    logits_fn: Callable[[Params, Rows], Tensor], params: Params, x: Rows, direction: Params
) -> tuple[Tensor, Tensor]:
    """Logits, and their derivative along ``direction``; parameters that it leaves out do not move.

    Raises:
        TurncoatError: if an operation has no forward-mode derivative, or the direction does not fit.
    """
    check_direction(params, direction)
    still = {name: value for name, value in params.items() if name not in direction}
    moving = {name: params[name] for name in direction}
    try:
        with torch.no_grad(), plain_kernels():
            logits, tangent, *_ = jvp(lambda p: logits_fn(still | p, x), (moving,), (direction,))
    except (NotImplementedError, RuntimeError) as error:
        if not lacks_forward_mode(error):
            raise
        raise TurncoatError(
            f"an operation of the model has no forward-mode derivative ({first_line(error)}): write it in plain"
            " operations (attention as matrix products), or use selection 'last_layer'"
        ) from error
    return logits, tangent


@contextlib.contextmanager
def plain_kernels() -> Iterator[None]:
    """Attention in plain operations: its fused kernels have no forward mode."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def lacks_forward_mode(error: Exception) -> bool:
    """Whether this is how PyTorch says that it cannot push a tangent through an operation."""
    text = str(error)
    return any(
        sign in text for sign in ("forward AD", "forward mode AD", "implement the jvp", "setup_context")
    )


def check_logits(logits: Tensor, n: int) -> None:
    """Judge a model's output.

    Raises:
        TurncoatError: if it is not one row of class logits per example.
    """
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != n:
        came = f"has shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise TurncoatError(
            f"the model's output {came} for {n} examples, but must be (n, c): one row of class logits per example"
        )


def check_direction(params: Params, direction: Params) -> None:
    """Judge a direction's names and shapes.

    Raises:
        TurncoatError: for a name that is no parameter, or another shape than the parameter's.
    """
    for name, value in direction.items():
        if name not in params:
            raise TurncoatError(
                f"the direction has {name!r}, which is no parameter here (parameters: {', '.join(params)})"
            )
        if value.shape != params[name].shape:
            raise TurncoatError(
                f"the direction's {name!r} has shape {tuple(value.shape)}, but the parameter has"
                f" {tuple(params[name].shape)}"
            )


def _scores(
    logits_fn: LogitsFn, params: Params, x: Tensor, direction: Params, loss: Loss | None
) -> Float[Tensor, "n c"]:
    logits, tangent = directional(logits_fn, params, x, direction)
    check_logits(logits, len(x))
    return tangent if loss is None else criterion(loss, logits.shape[1], logits).scores(logits, tangent)
