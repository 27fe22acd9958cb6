"""What each label of each example is worth along a direction: exact for any differentiable classifier.

Cross-entropy's gradient is affine in the one-hot label, so the objective ⟨-∇L, Δ⟩ is a sum over the examples
of S[i, y_i] and a term without labels, where S[i, c] is the directional derivative of logit c along Δ.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import grad, jvp, vmap

from turncoat.attack.direction import Params
from turncoat.errors import TurncoatError

LogitsFn = Callable[[Params, Tensor], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]

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
    (n, c); examples must not influence each other. Without ``loss`` (cross-entropy) the score is S[i, c] =
    (J_i Δ)_c; with ``loss(logits (c,), label) -> scalar`` it is -⟨∂ℓ/∂z(z_i, c), J_i Δ⟩.

    Raises:
        TurncoatError: if the output is not (n, c), the loss is not a scalar per example, or an operation of
            the model has no forward-mode derivative.
    """
    parts = [_scores(logits_fn, params, part, direction, loss) for part in x.split(chunk)]
    return torch.cat(parts)


def centred(scores: Float[Tensor, "n c *r"], logits: Float[Tensor, "n c *r"]) -> Float[Tensor, "n c *r"]:
    """Z = S - Σ_c softmax_c·S[·, c]: the form in which the papers print their multi-class rule."""
    return scores - (logits.softmax(1) * scores).sum(1, keepdim=True)


def _scores(
    logits_fn: LogitsFn, params: Params, x: Tensor, direction: Params, loss: Loss | None
) -> Float[Tensor, "n c"]:
    logits, tangent = _directional(logits_fn, params, x, direction)
    if logits.ndim != 2 or len(logits) != len(x):
        raise TurncoatError(
            f"the model's output has shape {tuple(logits.shape)} for {len(x)} examples, but must be"
            f" (n, c): one row of class logits per example"
        )
    if loss is None:
        return tangent
    return _loss_scores(logits, tangent, loss)


def _directional(logits_fn: LogitsFn, params: Params, x: Tensor, direction: Params) -> tuple[Tensor, Tensor]:
    tangents = {name: direction[name] for name in params}
    try:
        logits, tangent, *_ = jvp(lambda p: logits_fn(p, x), (params,), (tangents,))
    except NotImplementedError as error:
        line = str(error).splitlines()[0]
        raise TurncoatError(
            f"an operation of the model has no forward-mode derivative ({line}): write attention in plain"
            f" matrix products (set the sdpa backend to MATH), or use selection='last_layer'"
        ) from error
    return logits, tangent


def _loss_scores(
    logits: Float[Tensor, "n c"], tangent: Float[Tensor, "n c"], loss: Loss
) -> Float[Tensor, "n c"]:
    def scalar(z: Tensor, c: Tensor) -> Tensor:
        value = loss(z, c)
        if value.ndim != 0:
            raise TurncoatError(
                f"the loss gives shape {tuple(value.shape)} for one example, but must give one number:"
                f" loss(logits of shape (c,), label) -> scalar"
            )
        return value

    labels = torch.arange(logits.shape[1], device=logits.device)
    slopes = vmap(vmap(grad(scalar), (None, 0)), (0, None))(logits, labels)  # (n, label, c)
    return -torch.einsum("nlc,nc->nl", slopes, tangent)
