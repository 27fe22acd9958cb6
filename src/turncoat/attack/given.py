"""What is given to ``worst_flips``, checked before and after the scores are taken."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from turncoat.direction import Params
from turncoat.errors import TurncoatError, shown, whole
from turncoat.models.criterion import Criterion
from turncoat.models.probe import entangled
from turncoat.models.scores import LogitsFn, check_direction, check_logits

FEW = 4  # examples on which a module is tried
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


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
        if value.ndim == 0 or value.is_sparse or value.is_complex():
            raise TurncoatError(
                f"{name} is {shown(value)}, but must be a dense tensor of real numbers with one row per example"
            )
    if y.ndim != 1 or len(x) != len(y) or y.dtype not in INTEGERS:
        raise TurncoatError(
            f"labels are {tuple(y.shape)} {y.dtype} for {len(x)} examples, but must be ({len(x)},) and integer"
        )
    if x.device != y.device:
        raise TurncoatError(f"x is on {x.device}, y on {y.device}: put both where the module is")
    if not len(y):
        raise TurncoatError("no examples given: x and y are empty")
    if whole(flips, "flips") > len(y):
        raise TurncoatError(f"flips is {flips}, but there are only {len(y)} examples to flip")


def checked_generator(generator: torch.Generator | None) -> torch.Generator:
    """The given generator, or one that is seeded by 0.

    Raises:
        TurncoatError: if it is none.
    """
    if generator is None:
        return torch.Generator().manual_seed(0)
    if not isinstance(generator, torch.Generator) or generator.device.type != "cpu":
        raise TurncoatError(
            f"generator is {shown(generator)}, but must be a torch.Generator() on the CPU, such as"
            " torch.Generator().manual_seed(0)"
        )
    return generator


def tried(call: LogitsFn, params: Params, x: Tensor) -> Float[Tensor, "f c"]:
    """The logits of a few examples, far apart as rows are often sorted.

    Raises:
        TurncoatError: if the module does not take them, does not give class logits, lets examples influence each
            other, or draws at random in evaluation mode.
    """
    few = x[torch.linspace(0, len(x) - 1, min(FEW, len(x))).long().to(x.device)]
    with torch.no_grad():
        logits = call(params, few)
        check_logits(logits, len(few))
        unfit = entangled(lambda rows: call(params, rows), few)
    if unfit:
        raise TurncoatError(f"the module {unfit}")
    return logits


def check_labels(y: Tensor, classes: int, loss: Criterion) -> None:
    """Refuse labels that are no class of the module, unless the loss ignores them.

    Raises:
        TurncoatError: says what came and what must.
    """
    y = y[loss.counted(y)]
    if not len(y):
        raise TurncoatError(
            f"every label is {loss.ignored}, which the loss ignores: there is nothing to flip"
        )
    if y.min() < 0 or y.max() >= classes:
        raise TurncoatError(
            f"labels run from {int(y.min())} to {int(y.max())}, but the module has {classes} classes: 0 …"
            f" {classes - 1}"
        )


def checked_direction(params: Params, direction: str | Params) -> Params | None:
    """The direction in the parameters' types, one tensor for each of them; None for "untargeted".

    Raises:
        TurncoatError: if it is neither, or a tensor is missing or does not fit.
    """
    if isinstance(direction, str) and direction == "untargeted":
        return None
    if not isinstance(direction, Mapping) or not all(isinstance(v, Tensor) for v in direction.values()):
        raise TurncoatError(
            f"direction is {shown(direction)}, but must be 'untargeted' or one tensor per parameter, by name"
        )
    missing = [name for name in params if name not in direction]
    if missing:
        raise TurncoatError(
            f"the direction lacks {missing[0]!r}: give one tensor for each of {', '.join(params)}"
        )
    check_direction(params, direction)
    for name, value in direction.items():
        if not bool(value.isfinite().all()):
            raise TurncoatError(f"the direction's {name!r} holds NaN or infinity, so nothing lies along it")
    return {name: value.to(params[name]) for name, value in direction.items()}
