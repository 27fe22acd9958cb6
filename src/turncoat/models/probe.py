"""Does a module fit the attack? Its examples must not influence each other, and nothing may be random.

A label's score is about one example alone. BatchNorm in training and dropout break that, so a module that holds
them is refused for training; ``turncoat.worst_flips`` scores such modules in evaluation mode.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from turncoat.errors import TurncoatError


def fits(name: str, module: nn.Module, x: Tensor, classes: int) -> None:
    """Try the module on a few examples.

    Raises:
        TurncoatError: if it holds nothing to train, couples examples, draws at random, fails, or does not give
            (n, classes).
    """
    _refuse(name, module)
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
        again, alone = _tried(name, module, x), _tried(name, module, x[:1])
    if not torch.equal(out, again) and not out.isnan().any():
        raise TurncoatError(
            f"model {name!r} answers differently when asked twice: take out what draws at random"
        )
    if any(not torch.equal(value, buffers[key]) for key, value in module.named_buffers()):
        raise TurncoatError(
            f"model {name!r} writes to its buffers in a forward pass, which ties examples together:"
            " use layers without running statistics"
        )
    if not torch.allclose(out[:1], alone, rtol=1e-3, atol=1e-4 * float(out.abs().max())):
        raise TurncoatError(
            f"model {name!r} answers differently for an example alone and beside others, so a label has no"
            " score of its own: take out what mixes the examples of a batch"
        )


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


def _refuse(name: str, module: nn.Module) -> None:
    for part in module.modules():
        kind = type(part).__name__
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            raise TurncoatError(
                f"model {name!r} holds {kind}: it ties the examples of a batch together, so a label has no"
                " score of its own; use nn.GroupNorm or nn.LayerNorm instead"
            )
        rate = part.p if isinstance(part, nn.modules.dropout._DropoutNd) else getattr(part, "dropout", 0.0)
        if isinstance(rate, float) and rate > 0:
            raise TurncoatError(
                f"model {name!r} holds {kind} with dropout {rate}: replicas could not share its random draws"
                " and would no longer be comparable; set it to 0"
            )


def _tried(name: str, module: nn.Module, x: Tensor) -> Tensor:
    try:
        out = module(x)
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise TurncoatError(
            f"model {name!r} fails on examples of shape {tuple(x.shape[1:])}: {reason}"
        ) from error
    if not isinstance(out, Tensor):
        raise TurncoatError(f"model {name!r} returns {type(out).__name__}, but must return one tensor (n, c)")
    return out
