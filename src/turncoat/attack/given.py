"""What is given to ``worst_flips``, checked before and after the scores are taken."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import DataLoader

from turncoat.attack import inputs
from turncoat.attack.derivatives import Case
from turncoat.attack.inputs import Inputs
from turncoat.attack.module_call import Body
from turncoat.direction import Params
from turncoat.errors import TurncoatError, shown, whole
from turncoat.models.criterion import Criterion
from turncoat.models.probe import entangled
from turncoat.models.scores import check_direction

FEW = 4  # examples on which a module is tried


def examples(x: object, y: object) -> tuple[Inputs, Tensor]:
    """Inputs and labels, from tensors or from a DataLoader.

    Raises:
        TurncoatError: if they are neither, or do not fit each other.
    """
    if isinstance(x, DataLoader):
        if y is not None:
            raise TurncoatError("the labels come with the DataLoader: leave y out")
        return inputs.read(x)
    checked = inputs.checked(x)
    if not isinstance(y, Tensor) or y.layout != torch.strided or y.is_complex():
        came = shown(y) if isinstance(y, Tensor) or y is None else f"of type {type(y).__name__}"
        raise TurncoatError(f"y is {came}, but must be a tensor of labels: torch.as_tensor(y)")
    n = inputs.size(checked)
    if y.ndim == 0 or len(y) != n:
        raise TurncoatError(
            f"labels are {tuple(y.shape)} {y.dtype} for {n} examples, but must be one row each"
        )
    for name, part in inputs.leaves(checked):
        if part.device != y.device:
            raise TurncoatError(f"{name} is on {part.device}, y on {y.device}: put both where the module is")
    if not n:
        raise TurncoatError("no examples given: x and y are empty")
    return checked, y


def few(x: Inputs, body: Body) -> Inputs:
    """Some examples far apart, as rows are often sorted."""
    n = inputs.size(x)
    return inputs.take(x, torch.linspace(0, n - 1, min(FEW, n)).long(), body.device)


def tried(body: Body, some: Inputs) -> Tensor:
    """What the module makes of a few examples.

    Raises:
        TurncoatError: if it does not take them, lets examples influence each other, or draws at random in evaluation
            mode.
    """
    if any(value.is_meta for value in body.params.values()):
        raise TurncoatError(
            "the module is on the device 'meta', where nothing has a value: load its parameters first"
        )
    singles = [inputs.take(some, slice(i, i + 1), body.device) for i in range(inputs.size(some))]
    with torch.no_grad():
        output = body(body.params, some)
        unfit = entangled(lambda rows: body(body.params, rows), some, singles)
    if unfit:
        raise TurncoatError(f"the module {unfit}")
    return output


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


def check_labels(labels: Int[Tensor, " k"], classes: int, loss: Criterion) -> None:
    """Refuse labels that are no class of the module, unless the loss ignores them.

    Raises:
        TurncoatError: says what came and what must.
    """
    labels = labels[loss.counted(labels)]
    if not len(labels):
        raise TurncoatError(
            f"every label is {loss.ignored}, which the loss ignores: there is nothing to flip"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise TurncoatError(
            f"labels run from {int(labels.min())} to {int(labels.max())}, but the module has {classes} classes: 0 …"
            f" {classes - 1}"
        )


def reach(
    members: object, flips: object, y: Tensor, case: Case, labels: Int[Tensor, " k"]
) -> tuple[Int[Tensor, " m"], int]:
    """The decisions that may be flipped, as far as they are part of the loss, and how many of them.

    ``members`` are row numbers, or a mask of the examples or of every label; all, if None.

    Raises:
        TurncoatError: if they are neither, or fewer than the flips.
    """
    number = whole(flips, "flips")
    own = torch.ones(len(labels), dtype=torch.bool) if members is None else _mask(members, y, case)
    if number > int(own.sum()):
        what = "examples" if case.head.decisions == 1 else "labels"
        whose = "" if members is None else " of the members"
        raise TurncoatError(f"flips is {number}, but there are only {int(own.sum())} {what}{whose} to flip")
    counted = case.loss.counted(labels)
    return counted[own.to(labels.device)[counted]], number


def _mask(members: object, y: Tensor, case: Case) -> Tensor:
    """Which decisions belong to the members."""
    n = len(y)
    try:
        given = torch.as_tensor(members)
    except Exception as error:
        raise TurncoatError(_no_members(shown(members), n)) from error
    if given.dtype in (torch.uint16, torch.uint32, torch.uint64):  # of which torch knows no minimum
        given = given.long()
    if given.dtype == torch.bool:
        if given.shape == y.shape:
            return given.reshape(-1)
        if given.shape != (n,):
            raise TurncoatError(_no_members(f"a mask of shape {tuple(given.shape)}", n))
        return given.repeat_interleave(case.head.decisions)
    if given.ndim != 1 or given.is_floating_point() or given.is_complex():
        if given.numel():
            raise TurncoatError(_no_members(shown(members), n))
        given = given.long().reshape(-1)
    if given.numel() and (int(given.min()) < 0 or int(given.max()) >= n):
        raise TurncoatError(_no_members(f"numbers from {int(given.min())} to {int(given.max())}", n))
    rows = torch.zeros(n, dtype=torch.bool)
    rows[given.long().cpu()] = True
    return rows.repeat_interleave(case.head.decisions)


def _no_members(came: str, n: int) -> str:
    return f"members is {came}, but must be row numbers from 0 to {n - 1}, or a mask of {n} True and False"


def check_scores(worth: Float[Tensor, "k c"], case: Case) -> None:
    """Refuse scores that are no numbers: they are no gain, and would read as an attack that does nothing.

    Raises:
        TurncoatError: names the row and the likely cause.
    """
    bad = ~worth.isfinite().all(1)
    if not bool(bad.any()):
        return
    broken = [name for name, value in case.body.params.items() if not bool(value.isfinite().all())]
    row = int(bad.nonzero()[0]) // case.head.decisions
    mine = inputs.leaves(case.take(slice(row, row + 1)))
    if broken:
        cause = f"parameter {broken[0]!r} holds NaN or infinity: the training has diverged"
    elif not all(bool(part.isfinite().all()) for _, part in mine):
        cause = "its features hold NaN or infinity: fill them in or drop the row"
    else:
        cause = "the module's output or its derivative overflows there"
    raise TurncoatError(f"the scores of row {row} (counted from 0) are not finite: {cause}")


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
