"""``module:callable``: a factory of one's own, imported by name.

The callable (a function or an ``nn.Module`` class) is called with those of the keywords ``features`` (d),
``classes`` (C) and ``shape`` (one example's shape, channel first) that it accepts, and returns an ``nn.Module``
that maps (n, *shape), which is (n, d) for tables, to logits (n, C).
"""

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from turncoat.data.dataset import Dataset
from turncoat.errors import TurncoatError, first_line
from turncoat.own_code import imported


def factory(name: str, data: Dataset) -> Callable[[], nn.Module]:
    """The factory called ``name``, ready to build a module for this data.

    Raises:
        TurncoatError: if it cannot be imported or called, or returns no ``nn.Module``.
    """
    make = imported(name, "model", "mypkg.nets:make", "a torch.nn.Module")
    offered: dict[str, Any] = {"features": data.d, "classes": data.classes, "shape": data.shape}
    accepted = _accepted(make, offered)

    def build() -> nn.Module:
        try:
            made = make(**accepted)
        except TurncoatError:
            raise
        except Exception as error:
            raise TurncoatError(f"model {name!r}: the factory failed: {first_line(error)}") from error
        if not isinstance(made, nn.Module):
            raise TurncoatError(
                f"model {name!r}: the factory returned {type(made).__name__}, but must return a torch.nn.Module"
            )
        return made

    return build


def _accepted(make: Callable[..., Any], offered: dict[str, Any]) -> dict[str, Any]:
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):  # some built-in callables have none
        return {}
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return offered
    named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return {key: value for key, value in offered.items() if key in named}
