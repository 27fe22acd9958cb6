"""PyTorch's own losses in closed form: cross-entropy with weights and smoothing, and binary cross-entropy."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from turncoat.errors import TurncoatError, shown
from turncoat.models.criterion import Criterion, Loss, of_one_example


def criterion(loss: Loss | None, classes: int, like: Tensor, decisions: int = 1) -> Criterion:
    """What ``loss`` is to the attack; without one it is cross-entropy.

    An example makes ``decisions`` rows of logits, more than one under a binary loss alone.

    Raises:
        TurncoatError: if it is no loss of one example, nor a torch loss whose mean is known here.
    """
    if loss is None or isinstance(loss, nn.CrossEntropyLoss):
        return _cross_entropy(loss or nn.CrossEntropyLoss(), classes, like)
    if isinstance(loss, nn.BCEWithLogitsLoss):
        return _binary(loss, decisions, like)
    if not callable(loss):
        raise TurncoatError(
            f"loss is {shown(loss)}, but must be a function loss(logits of shape (c,), label) of one example,"
            " nn.CrossEntropyLoss(...) or nn.BCEWithLogitsLoss(...)"
        )
    return of_one_example(loss, classes, like)


def _cross_entropy(loss: nn.CrossEntropyLoss, classes: int, like: Tensor) -> Criterion:
    """Closed forms: a label's ℓ is a fixed mixture of the classes' -log softmax.

    Label c mixes (1 - ε)·w_c of its own class with ε/C·w_j of every class j. The mean over a batch divides by the
    weights of its labels, with smoothing ε as without.
    """
    weight, smooth = _weight(loss.weight, classes, like), loss.label_smoothing
    own, spread = (1 - smooth) * weight, smooth / classes * weight
    ignored = loss.ignore_index
    if 0 <= ignored < classes:
        raise TurncoatError(
            f"the loss ignores label {ignored}, which is one of the {classes} classes, so a flip to it would take a"
            " row out: drop these rows and the class, or set ignore_index to -100"
        )

    def slopes(logits: Tensor, labels: Tensor) -> Tensor:
        counted = labels != ignored
        label = labels.long().where(counted, 0).unsqueeze(1)
        mixture = spread.repeat(len(logits), 1).scatter_add_(1, label, own[label])
        result: Tensor = mixture.sum(1, keepdim=True) * logits.softmax(1) - mixture
        return result * counted.unsqueeze(1)

    def scores(logits: Tensor, tangent: Tensor) -> Tensor:
        centred = tangent - (logits.softmax(1) * tangent).sum(1, keepdim=True)
        return centred * own + (centred * spread).sum(1, keepdim=True)

    return Criterion(
        slopes=slopes,
        scores=scores,
        mass=weight if loss.weight is not None and loss.reduction == "mean" else None,
        summed=loss.reduction == "sum",
        ignored=ignored,
    )


def _weight(weight: Tensor | None, classes: int, like: Tensor) -> Float[Tensor, " c"]:
    if weight is None:
        return like.new_ones(classes)
    if weight.shape != (classes,):
        raise TurncoatError(
            f"the loss's weight has shape {tuple(weight.shape)}, but must be ({classes},): one for each class"
        )
    if not bool((weight.isfinite() & (weight >= 0)).all()):
        raise TurncoatError(
            f"the loss's weight is {shown(weight.tolist())}, but must be finite and 0 or more for each class"
        )
    return weight.detach().to(like)


def _binary(loss: nn.BCEWithLogitsLoss, decisions: int, like: Tensor) -> Criterion:
    """Binary cross-entropy of a logit z is cross-entropy of (0, z); label 1 may weigh more, each decision its own."""
    if loss.weight is not None:
        raise TurncoatError(
            "the loss has a weight for each example of a batch, which rows of another order would not have: leave it"
            " out, or give pos_weight"
        )
    ones = like.new_ones(decisions)
    positive = ones if loss.pos_weight is None else loss.pos_weight.detach().to(like)
    if positive.numel() not in (1, decisions) or not bool((positive.isfinite() & (positive >= 0)).all()):
        raise TurncoatError(
            f"the loss's pos_weight is {shown(positive.tolist())}, but must be finite and 0 or more, one number or one"
            f" for each of {decisions} labels"
        )
    weights = torch.stack([ones, positive.flatten().expand(decisions)], 1)  # of label 0 and 1, per decision

    def slopes(logits: Tensor, labels: Tensor) -> Tensor:
        own = torch.nn.functional.one_hot(labels.long(), 2).to(logits.dtype)
        row = weights.repeat(len(logits) // decisions, 1)
        return (row * own).sum(1, keepdim=True) * (logits.softmax(1) - own)

    def scores(logits: Tensor, tangent: Tensor) -> Tensor:
        centred = tangent - (logits.softmax(1) * tangent).sum(1, keepdim=True)
        return centred * weights.repeat(len(logits) // decisions, 1)

    return Criterion(slopes=slopes, scores=scores, summed=loss.reduction == "sum")
