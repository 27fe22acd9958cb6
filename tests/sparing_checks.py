"""Functions within functions have their shapes checked as often as is of use, not each time that they are made.

A check is compiled anew whenever such a function is made, which takes longer than most of its calls.
"""

import collections
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jaxtyping

OFTEN = 16  # times that each of them is made with its check
_made: collections.Counter[types.CodeType] = collections.Counter()
_jaxtyped = jaxtyping.jaxtyped


def _sparing(*, typechecker: Any) -> Callable[[Any], Any]:
    check = _jaxtyped(typechecker=typechecker)
    return lambda made: made if _enough(made) else check(made)


def _enough(made: Any) -> bool:
    if not isinstance(made, types.FunctionType) or "<locals>" not in made.__qualname__:
        return False
    _made[made.__code__] += 1
    return _made[made.__code__] > OFTEN


jaxtyping.jaxtyped = _sparing


@contextmanager
def unchecked() -> Iterator[None]:
    """Within it nothing is checked, as users run it."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
