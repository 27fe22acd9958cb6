"""What workers send: gradients of their own batches, or how far local steps took them.

Models that act differently while they train are asked in evaluation mode here; what their workers send is in
``in_training``.

Messages are (w, r, p): every worker's vector for every replica, in the order of ``Model.pack``.
"""

import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.func import grad, vmap

from turncoat.direction import Params
from turncoat.models.learned import residuals
from turncoat.models.stack import Model, moved


def pack(model: Model, params: Params) -> Float[Tensor, "r p"]:
    """All parameters of each replica as one vector."""
    if model.pack is not None:
        return model.pack(params)
    return torch.cat([v.movedim(model.replica_axis[k], 0).flatten(1) for k, v in params.items()], 1)


def unpack(model: Model, vectors: Float[Tensor, "r p"], like: Params) -> Params:
    """The inverse of ``pack``, in the shapes of ``like``."""
    if model.unpack is not None:
        return model.unpack(vectors)
    result, start = {}, 0
    for name, value in like.items():
        shape = value.movedim(model.replica_axis[name], 0).shape
        width = shape[1:].numel()
        part = vectors[:, start : start + width].reshape(shape)
        result[name] = part.movedim(0, model.replica_axis[name]).contiguous()
        start += width
    return result


def gradients(
    model: Model, params: Params, x: Tensor, labels: Integer[Tensor, "w b r"]
) -> Float[Tensor, "w r p"]:
    """Mean gradient of each worker's batch, for x of shape (w, b, ...)."""
    if model.worker_gradients is not None and model.loss.plain:
        return model.worker_gradients(params, x, labels)
    slope = grad(_loss(model, params))
    stacked = vmap(slope, in_dims=(None, 0, 0))(moved(model, params), x, labels.long())
    return vmap(lambda one: pack(model, one))(stacked)


def example_norms(
    model: Model, params: Params, x: Tensor, labels: Integer[Tensor, "n r"]
) -> Float[Tensor, "n r"]:
    """Norm of every single example's gradient, per replica."""
    if model.example_norms is not None and model.loss.plain:
        return model.example_norms(params, x, labels)
    each = gradients(model, params, x.unsqueeze(1), labels.unsqueeze(1))
    return each.square().sum(2).sqrt()


def differences(
    model: Model, params: Params, x: Tensor, labels: Integer[Tensor, "w b r"], steps: int, rate: float
) -> Float[Tensor, "w r p"]:
    """Server's parameters minus each worker's after ``steps`` of plain SGD, each on its next slice of the batch."""
    w = len(x)
    local = {name: value.expand(w, *value.shape) for name, value in moved(model, params).items()}
    slope = vmap(grad(_loss(model, params)), in_dims=(0, 0, 0))
    for part, own in zip(x.chunk(steps, 1), labels.long().chunk(steps, 1), strict=True):
        gradient = slope(local, part, own)
        local = {name: value - rate * gradient[name] for name, value in local.items()}
    apart = {name: params[name] - value for name, value in local.items()}
    return vmap(lambda one: pack(model, one))(apart)


def _loss(model: Model, like: Params):  # type: ignore[no-untyped-def]
    still = {name: like[name] for name in model.statistics}

    def loss(trained: Params, x: Tensor, labels: Tensor) -> Tensor:
        params = trained | still
        logits = model.logits(params, x)  # (b, c, r): replicas do not mix, so the sum has each one's gradient
        if model.loss.plain:
            return torch.nn.functional.cross_entropy(logits, labels, reduction="sum") / len(x)
        # a product whose gradient at the logits is the loss's own
        return (residuals(model, params, x, logits, labels).detach() * logits).sum() / len(x)

    return loss
