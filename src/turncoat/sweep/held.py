"""An experiment on data that say who holds what: as many workers as these name, each with its own."""

from pathlib import Path
from typing import Any

from turncoat.errors import TurncoatError, shown
from turncoat.fields import descriptions
from turncoat.sweep.prepared import read
from turncoat.sweep.problem import Problem

FROM = "workers_from"
SAID = ("workers", "partition")

Axes = dict[str, tuple[Any, ...]]


def with_workers(axes: Axes) -> Axes:
    """The axes with the number of workers and the partition, where ``workers_from`` says who holds what.

    Raises:
        TurncoatError: if something else says so too, there are several data sets, or the data can't be had.
    """
    if FROM not in axes:
        return axes
    for name in SAID:
        if name in axes:
            raise TurncoatError(f"{FROM} says who holds what, and so does {name}: leave {name} out")
    for name in (FROM, "dataset", "label"):
        if len(axes.get(name, ())) > 1:
            raise TurncoatError(
                f"{FROM} reads one data set at a time, but {name} is {shown(list(axes[name]))}"
            )
    own = _from_folder(axes) if _is_folder(axes[FROM][0]) else dict(axes)
    problem = Problem(**{name: own[name][0] for name in descriptions(Problem) if name in own})
    count = len(read(problem).holders)
    return own | {"workers": (count,), "partition": ("given",)}


def _is_folder(source: str) -> bool:
    if Path(source).expanduser().is_dir():
        return True
    if "/" in source:
        raise TurncoatError(f"{FROM} is {source!r}, but there is no such folder")
    return False


def _from_folder(axes: Axes) -> Axes:
    """The folder is the data set."""
    if "dataset" in axes:
        raise TurncoatError(f"{FROM} is a folder, which holds the data: leave dataset out")
    folder = str(Path(axes[FROM][0]).expanduser().resolve())
    return {name: values for name, values in axes.items() if name != FROM} | {"dataset": (folder,)}
