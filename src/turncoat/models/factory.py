"""``module:callable``: a factory of one's own, imported by name.

The callable (a function or an ``nn.Module`` class) is called with those of the keywords ``features`` (d),
``classes`` (C) and ``shape`` (one example's shape, channel first) that it accepts, and returns an ``nn.Module``
that maps (n, *shape) for images, or (n, d) for other data, to logits (n, C).
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from turncoat.data.dataset import Dataset
from turncoat.errors import TurncoatError


def factory(name: str, data: Dataset) -> Callable[[], nn.Module]:
    """The factory called ``name``, ready to build a module for this data.

    Raises:
        TurncoatError: if it cannot be imported or called, or returns no ``nn.Module``.
    """
    make = _imported(name)
    offered: dict[str, Any] = {"features": data.d, "classes": data.classes, "shape": data.shape}
    accepted = _accepted(make, offered)

    def build() -> nn.Module:
        try:
            made = make(**accepted)
        except TurncoatError:
            raise
        except Exception as error:
            raise TurncoatError(f"model {name!r}: the factory failed: {_line(error)}") from error
        if not isinstance(made, nn.Module):
            raise TurncoatError(
                f"model {name!r}: the factory returned {type(made).__name__}, but must return a torch.nn.Module"
            )
        return made

    return build


def _imported(name: str) -> Callable[..., Any]:
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise TurncoatError(f"model {name!r} must be MODULE:CALLABLE, such as mypkg.nets:make")
    try:
        with _working_folder():
            found: Any = importlib.import_module(module_name)
    except Exception as error:
        raise TurncoatError(f"model {name!r}: cannot import {module_name!r}: {_line(error)}") from error
    try:
        for part in attribute.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise TurncoatError(f"model {name!r}: {_line(error)}") from error
    if not callable(found):
        raise TurncoatError(
            f"model {name!r} is {type(found).__name__}, but must be a callable that returns a torch.nn.Module"
        )
    made: Callable[..., Any] = found
    return made


def _accepted(make: Callable[..., Any], offered: dict[str, Any]) -> dict[str, Any]:
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):  # some built-in callables have none
        return {}
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return offered
    named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return {key: value for key, value in offered.items() if key in named}


@contextmanager
def _working_folder() -> Iterator[None]:
    """Let the import see the working folder, as it would under ``python -m``."""
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
