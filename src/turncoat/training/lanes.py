"""Stacks trained side by side: a step of one small stack leaves most of a GPU idle.

Every lane is a CUDA stream, so that kernels of different stacks, of different seeds say, run at the same time while
one Python thread feeds them in turn. On the CPU, where one product takes every core, there is a single lane.
"""

from collections import deque
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from typing import TypeVar, cast

import torch

from turncoat.models.stack import Model

LANES = 8
SPARE = 2.0  # begin another work while so many times the memory of an average one is free

Told = TypeVar("Told")
Work = Generator[None, None, None]
_ENDED = object()


def side_by_side(works: Iterable[Work], device: str, at_once: int = LANES) -> None:
    """Take every work to its end, each in a lane of its own; on a GPU a step of up to ``at_once`` in turn.

    If one fails, those that have begun are closed before its error goes on.
    """
    for _ in in_turn(works, device, at_once):
        pass


def in_turn(
    works: Iterable[Generator[Told, None, None]], device: str, at_once: int = LANES
) -> Generator[Told, None, None]:
    """As ``side_by_side``, yielding what each work yields; closing it closes those that have begun."""
    waiting = iter(works)
    coming = next(waiting, None)
    idle = lanes(device, at_once)
    going: deque[tuple[Generator[Told, None, None], AbstractContextManager[object]]] = deque()
    with ExitStack() as begun:
        while coming or going:
            if coming and idle and (not going or _has_room(device, len(going))):
                work, lane = begun.enter_context(closing(coming)), idle.pop()
                coming = next(waiting, None)
                told = _step(work, lane)
                _synchronize(device)  # it may have prepared data that other lanes will read
            else:
                work, lane = going.popleft()
                told = _step(work, lane)
            if told is _ENDED:
                _synchronize(device)  # what it let go of may be taken by others
                idle.append(lane)
            else:
                going.append((work, lane))
                yield cast(Told, told)


def lanes_for(model: Model) -> int:
    """How many stacks of a model to train at once: those whose steps are long fill a GPU, or its memory, alone."""
    return LANES if model.recordable else 1


def lanes(device: str, count: int) -> list[AbstractContextManager[object]]:
    """What to enter around each lane's steps."""
    if not device.startswith("cuda"):
        return [nullcontext()]
    _synchronize(device)  # what is there by now is there for all
    return [torch.cuda.stream(torch.cuda.Stream(device)) for _ in range(count)]


def _step(work: Generator[Told, None, None], lane: AbstractContextManager[object]) -> object:
    """Go on with the work up to its next step; what it yields there, or that it has ended."""
    with lane:
        return next(work, _ENDED)


def _has_room(device: str, going: int) -> bool:
    """Whether the memory will do for one more: each has shown what it takes in its first step."""
    if not device.startswith("cuda"):
        return True
    free, total = torch.cuda.mem_get_info(device)
    return free * going > SPARE * (total - free)


def _synchronize(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
