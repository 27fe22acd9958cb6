"""Which parts of a module act differently in training mode than in evaluation mode."""

from collections.abc import Callable

from torch import Tensor, nn

from turncoat.models.probe import close, drop_rate


def acting_in_training(module: nn.Module, ask: Callable[[], Tensor]) -> tuple[str, ...]:
    """Names and types of these parts, for a module that stands in the modes in which it trains.

    The usual layers are known by their type. Where there are none, ``ask`` is compared with the same in evaluation
    mode, and then with each part's own flag turned in turn; it must draw the same random numbers each time.
    """
    parts = {name: part for name, part in module.named_modules() if part.training}
    known = [name for name, part in parts.items() if _known(part)]
    if not known:
        answer = ask()
        if not close(answer, _with_flag_off(list(parts.values()), ask)):
            known = [name for name, part in parts.items() if not close(answer, _with_flag_off([part], ask))]
            known = known or [""]
    return tuple(
        f"{name!r} ({type(parts[name]).__name__})" if name else type(module).__name__ for name in known
    )


def _known(part: nn.Module) -> bool:
    if isinstance(part, nn.modules.instancenorm._InstanceNorm):
        return part.track_running_stats
    return isinstance(part, nn.modules.batchnorm._BatchNorm | nn.RReLU) or drop_rate(part) > 0


def _with_flag_off(parts: list[nn.Module], ask: Callable[[], Tensor]) -> Tensor:
    try:
        for part in parts:
            part.training = False
        return ask()
    finally:
        for part in parts:
            part.training = True
