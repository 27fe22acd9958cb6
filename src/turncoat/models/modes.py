"""Which parts of a module act differently in training mode than in evaluation mode."""

import contextlib
from collections.abc import Callable, Iterator

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


def acting_parts(module: nn.Module, ask: Callable[[], Tensor]) -> tuple[nn.Module, ...]:
    """The parts themselves; all that are in training mode where those known by their type are not the whole of it.

    ``ask`` must draw the same random numbers each time.
    """
    parts = [part for part in module.modules() if part.training]
    known = [part for part in parts if _known(part)]
    others = [part for part in parts if part not in known]
    with _flags_off(known):
        alike = close(ask(), _with_flag_off(others, ask))
    return tuple(known if alike else parts)


def _known(part: nn.Module) -> bool:
    if isinstance(part, nn.modules.instancenorm._InstanceNorm):
        return part.track_running_stats
    return isinstance(part, nn.modules.batchnorm._BatchNorm | nn.RReLU) or drop_rate(part) > 0


def _with_flag_off(parts: list[nn.Module], ask: Callable[[], Tensor]) -> Tensor:
    with _flags_off(parts):
        return ask()


@contextlib.contextmanager
def _flags_off(parts: list[nn.Module]) -> Iterator[None]:
    try:
        for part in parts:
            part.training = False
        yield
    finally:
        for part in parts:
            part.training = True
