"""What a learner makes of an example and its label: the residual that it pulls back, by the loss that it trains with.

Every loss here has the gradient w·(p - target(y)) at the logits, where the weight w depends on the example and the
label. It is affine in nothing but a table of one number per label, so label scores stay exact:
S[i, c] = -⟨∂ℓ/∂z(z_i, c), J_i Δ⟩ (criterion.loss_scores is the slow form).
"""

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from turncoat.direction import Params
from turncoat.losses import Loss, residual
from turncoat.models.stack import Model


def residuals(
    model: Model, params: Params, x: Tensor, logits: Float[Tensor, "n c r"], labels: Integer[Tensor, "n r"]
) -> Float[Tensor, "n c r"]:
    """∂ℓ_i/∂z of every example and replica, for the model's own loss."""
    return weighed(model.loss, logits, labels, label_weights(model, params, x, logits))


def weighed(
    loss: Loss,
    logits: Float[Tensor, "n c r"],
    labels: Integer[Tensor, "n r"],
    weights: Float[Tensor, "n c r"] | None,
) -> Float[Tensor, "n c r"]:
    """The same where the weights of all labels are known."""
    result = residual(logits, labels)
    if loss.smoothing:  # p - (1 - E) onehot(y) - E / C
        hard = logits.softmax(1)
        result.mul_(1 - loss.smoothing).add_(hard.sub_(1 / logits.shape[1]), alpha=loss.smoothing)
    if weights is None:
        return result
    return result.mul_(weights.gather(1, labels.long().unsqueeze(1)))


def loss_scores(
    model: Model, params: Params, x: Tensor, tangent: Float[Tensor, "n c r"]
) -> Float[Tensor, "n c r"]:
    """What each label is worth where the logits move by ``tangent``, up to what no label changes."""
    loss = model.loss
    if loss.plain:
        return tangent
    logits = model.logits(params, x)
    # along a part of the parameters as along all: the tangent is all that a score knows of the direction
    scores = tangent - (logits.softmax(1) * tangent).sum(1, keepdim=True)
    if loss.smoothing:
        scores = scores * (1 - loss.smoothing)
    weights = label_weights(model, params, x, logits)
    return scores if weights is None else scores * weights


def label_weights(
    model: Model, params: Params, x: Tensor, logits: Float[Tensor, "n c r"]
) -> Float[Tensor, "n c r"] | None:
    """w of every label that an example could carry; None where all count alike."""
    loss = model.loss
    weights = None if loss.weight is None else loss.weight(logits.softmax(1))
    if loss.clip is None:
        return weights
    assert model.label_norms is not None  # who built the stack has refused other models
    norms = model.label_norms(params, x, logits)
    if weights is not None:
        norms = norms * weights
    cut = (loss.clip / norms.clamp(min=torch.finfo(norms.dtype).tiny)).clamp(max=1)
    return cut if weights is None else weights * cut
