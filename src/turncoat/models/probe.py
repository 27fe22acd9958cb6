"""Does a module fit the attack? Its examples must not influence each other, and nothing may be random.

A label's score is about one example alone. BatchNorm and dropout break that in training, so modules that hold them are
scored in evaluation mode.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from turncoat.errors import TurncoatError

Rows = TypeVar("Rows")  # some examples, in whatever form the module takes them


def fits(name: str, module: nn.Module, x: Tensor, classes: int) -> None:
    """Try the module on a few examples, with the parts that act differently in training in evaluation mode.

    Raises:
        TurncoatError: if it holds nothing to train, couples examples, draws at random, fails, or does not give
            (n, classes) of finite numbers.
    """
    refuse_at_sight(name, module)
    if not any(p.requires_grad for p in module.parameters()):
        raise TurncoatError(f"model {name!r} has no parameters to train")
    buffers = {key: value.clone() for key, value in module.named_buffers()}
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        out = _tried(name, module, x)
        if out.shape != (len(x), classes):
            raise TurncoatError(
                f"model {name!r} gives {tuple(out.shape)} for {len(x)} examples, but must give"
                f" ({len(x)}, {classes}): one row of class logits per example"
            )
        _refuse_infinite(name, module, x, out)
        unfit = entangled(lambda rows: _tried(name, module, rows), x, x.split(1))
    if unfit:
        raise TurncoatError(f"model {name!r} {unfit}")
    if any(not torch.equal(value, buffers[key]) for key, value in module.named_buffers()):
        raise TurncoatError(
            f"model {name!r} writes to its buffers in a forward pass, which ties examples together:"
            " use layers without running statistics"
        )


def refuse_channels_last(name: str, shape: tuple[int, ...]) -> None:
    """Refuse images whose channels stand last: a network that asks for ``shape[0]`` channels would misread them.

    Raises:
        TurncoatError: for square examples with 1, 3 or 4 values at every place.
    """
    if len(shape) == 3 and shape[0] == shape[1] != shape[2] and shape[2] in (1, 3, 4):
        raise TurncoatError(
            f"model {name!r}: examples of shape {shape} look like images with the channels last, but are read as"
            " (channels, height, width): give numpy.moveaxis(x, -1, 1)"
        )


def layout(shape: tuple[int, ...]) -> str:
    """How examples of this shape come to a model, for who expected them in another one."""
    if len(shape) == 3:
        return (
            "; examples are read as (channels, height, width): give numpy.moveaxis(x, -1, 1) if the channels stand"
            " last, and begin with nn.Flatten() if the model takes plain features"
        )
    if len(shape) == 2:
        return (
            "; examples have no axis of channels: give x[:, None] if the model takes images, and begin with"
            " nn.Flatten() if it takes plain features"
        )
    return ""


def entangled(ask: Callable[[Rows], Tensor], few: Rows, singles: Sequence[Rows]) -> str:
    """Why a label has no score of its own where ``ask`` answers these examples; empty if it has one.

    Every example is asked alone and beside the others. What is not finite is for others to tell.
    """
    out = ask(few)
    if not bool(out.isfinite().all()):
        return ""
    if not close(out, ask(few)) if out.is_cuda else not torch.equal(out, ask(few)):  # a GPU adds in any order
        return "answers differently when asked twice: take out what draws at random"
    try:
        alone = torch.cat([ask(one) for one in singles])
    except TurncoatError:  # as BatchNorm over the batch does
        return (
            "takes no example alone, so a label has no score of its own: take out what mixes those of a batch"
        )
    if close(out, alone):
        return ""
    return (
        "answers differently for an example alone and beside others, so a label has no score of its own: take out"
        " what mixes the examples of a batch"
    )


def close(a: Tensor, b: Tensor) -> bool:
    """Whether two answers differ by rounding alone.

    Other batch sizes and kernels round in another order, coarser in half precision and in a GPU's tensor cores.
    """
    if a.shape != b.shape or not a.numel():
        return a.shape == b.shape
    rounding = max(1e-3, 16 * torch.finfo(a.dtype).eps) * (10 if a.is_cuda else 1)
    return torch.allclose(a, b, rtol=rounding, atol=rounding / 10 * float(a.abs().max()))


def last_layer(module: nn.Module, run: Callable[[], object]) -> tuple[str, ...]:
    """Parameters of the last part with parameters of its own that ``run`` calls: the classifier of a network."""
    trained = {name for name, p in module.named_parameters() if p.requires_grad}
    owners = {name: _own(name, part, trained) for name, part in module.named_modules()}
    ran: list[tuple[str, ...]] = []
    hooks = [
        part.register_forward_pre_hook(lambda *_, own=owners[name]: ran.append(own))
        for name, part in module.named_modules()
        if owners[name]
    ]
    try:
        with torch.no_grad():
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return ran[-1] if ran else [own for own in owners.values() if own][-1]


def _own(prefix: str, part: nn.Module, trained: set[str]) -> tuple[str, ...]:
    names = (f"{prefix}.{name}".lstrip(".") for name, _ in part.named_parameters(recurse=False))
    return tuple(name for name in names if name in trained)


def drop_rate(part: nn.Module) -> float:
    """The share of values that a part drops in training, itself or by an attribute ``dropout``, as an LSTM does."""
    rate = part.p if isinstance(part, nn.modules.dropout._DropoutNd) else getattr(part, "dropout", 0.0)
    return rate if isinstance(rate, float) else 0.0


def refuse_at_sight(name: str, module: nn.Module) -> None:
    """Refuse what no example needs to be tried for; a lazy layer takes its shape from the first.

    Raises:
        TurncoatError: for lazy layers, and for BatchNorm without running statistics.
    """
    for key, value in (*module.named_parameters(), *module.named_buffers()):
        if is_lazy(value):
            raise TurncoatError(
                f"model {name!r}: {key!r} has no shape before its first call, so no seed can draw it: use a layer"
                " whose input size is given, such as nn.Linear"
            )
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and not part.track_running_stats:
            raise TurncoatError(
                f"model {name!r} holds {type(part).__name__} without running statistics: it ties the examples of a"
                " batch together also in evaluation mode, so a label has no score of its own; leave"
                " track_running_stats as it is, or use nn.GroupNorm"
            )


def _refuse_infinite(name: str, module: nn.Module, x: Tensor, out: Tensor) -> None:
    if bool(out.isfinite().all()):
        return
    broken = [key for key, value in module.named_parameters() if not bool(value.isfinite().all())]
    cause = (
        f"its parameter {broken[0]!r} holds NaN or infinity from the start: mend its initialisation"
        if broken
        else f"the features reach {float(x.abs().max()):.3g}: give scale='standard', or mend the model"
    )
    raise TurncoatError(f"model {name!r} gives NaN or infinity for the first examples: {cause}")


def _tried(name: str, module: nn.Module, x: Tensor) -> Tensor:
    try:
        out = module(x)
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise TurncoatError(
            f"model {name!r} fails on examples of shape {tuple(x.shape[1:])}: {reason}{layout(tuple(x.shape[1:]))}"
        ) from error
    if not isinstance(out, Tensor):
        raise TurncoatError(f"model {name!r} returns {type(out).__name__}, but must return one tensor (n, c)")
    return out
