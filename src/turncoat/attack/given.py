"""What is given to ``worst_flips``, checked before and after the scores are taken."""

import torch
from jaxtyping import Float
from torch import Tensor

from turncoat.direction import Params
from turncoat.errors import TurncoatError, whole
from turncoat.models.scores import LogitsFn, check_direction, check_logits


def check_scores(worth: Float[Tensor, "n c"], x: Tensor, params: Params) -> None:
    """Refuse scores that are no numbers: they are no gain, and would read as an attack that does nothing.

    Raises:
        TurncoatError: names the row and the likely cause.
    """
    bad = ~worth.isfinite().all(1)
    if not bool(bad.any()):
        return
    broken = [name for name, value in params.items() if not bool(value.isfinite().all())]
    row = int(bad.nonzero()[0])
    if broken:
        cause = f"parameter {broken[0]!r} holds NaN or infinity: the training has diverged"
    elif x.is_floating_point() and not bool(x[row].isfinite().all()):
        cause = "its features hold NaN or infinity: fill them in or drop the row"
    else:
        cause = "the module's output or its derivative overflows there"
    raise TurncoatError(f"the scores of row {row} (counted from 0) are not finite: {cause}")


def check_input(x: Tensor, y: Tensor, flips: int) -> None:
    """Refuse examples, labels and a number of flips that do not fit each other.

    Raises:
        TurncoatError: says what came and what must.
    """
    for name, value in (("x", x), ("y", y)):
        if not isinstance(value, Tensor):
            raise TurncoatError(
                f"{name} is of type {type(value).__name__}, but must be a tensor: torch.as_tensor({name})"
            )
    if y.ndim != 1 or len(x) != len(y) or y.dtype.is_floating_point:
        raise TurncoatError(
            f"labels are {tuple(y.shape)} {y.dtype} for {len(x)} examples, but must be ({len(x)},) and integer"
        )
    if x.device != y.device:
        raise TurncoatError(f"x is on {x.device}, y on {y.device}: put both where the module is")
    if not len(y):
        raise TurncoatError("no examples given: x and y are empty")
    if whole(flips, "flips") > len(y):
        raise TurncoatError(f"flips is {flips}, but there are only {len(y)} examples to flip")


def check_classes(call: LogitsFn, params: Params, x: Tensor, y: Tensor) -> None:
    """Refuse labels that are no class of the module, or features that it does not take.

    Raises:
        TurncoatError: says what came and what must.
    """
    try:
        with torch.no_grad():
            logits = call(params, x[:1])
    except RuntimeError as error:
        if "dtype" in str(error):
            own = next(iter(params.values())).dtype
            raise TurncoatError(f"x is {x.dtype}, which the module does not take: try x.to({own})") from error
        reason = (str(error).splitlines() or [""])[0]
        raise TurncoatError(
            f"the module does not take examples of shape {tuple(x.shape[1:])}: {reason}"
        ) from error
    check_logits(logits, 1)
    classes = logits.shape[1]
    if y.min() < 0 or y.max() >= classes:
        raise TurncoatError(
            f"labels run from {int(y.min())} to {int(y.max())}, but the module has {classes} classes: 0 …"
            f" {classes - 1}"
        )


def checked_direction(params: Params, direction: Params) -> Params:
    """The direction in the parameters' types, one tensor for each of them.

    Raises:
        TurncoatError: if one is missing or does not fit.
    """
    missing = [name for name in params if name not in direction]
    if missing:
        raise TurncoatError(
            f"the direction lacks {missing[0]!r}: give one tensor for each of {', '.join(params)}"
        )
    check_direction(params, direction)
    return {name: value.to(params[name]) for name, value in direction.items()}
