"""Shapes and types are checked as jaxtyping checks them, at a fraction of what that takes.

``jaxtyped`` binds every call's arguments by Python's own slow means, looks at the arguments again together with the
result, and compiles a check for every function that is made. Here a check is two small functions that beartype
compiles when a function is first called: one takes what it takes, the other what it gives. Functions within functions
share the check of the first of them, and axes have names of their own only where a signature names any.
"""

import dataclasses
import functools
import inspect
import io
import types
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import jaxtyping
from beartype.roar import BeartypeCallHintViolation

__name__ = "jaxtyping.sparing"  # what warns at the user's own line passes over jaxtyping's

jaxtyped = jaxtyping.jaxtyped
config = jaxtyping.config
Check = tuple[Callable[..., Any], Callable[[Any], Any], bool]
_of_inner: dict[tuple[str, str, int], Check] = {}  # by where a function within a function stands


def _sparing(*, typechecker: Any) -> Callable[[Any], Any]:
    def checked(made: Any) -> Any:
        if isinstance(made, types.FunctionType):
            return _when_called(made, typechecker)
        init = vars(made).get("__init__")
        if dataclasses.is_dataclass(made) and init and not hasattr(init, "__wrapped__"):
            made.__init__ = _when_called(init, typechecker)  # others say themselves what they cannot take
        return made

    return checked


def _when_called(made: types.FunctionType, typechecker: Any) -> Any:
    # all are set by a first call; none is empty before, for the reference looks into closures
    takes: Callable[..., Any] | None = None
    gives: Callable[[Any], Any] = id
    named = False

    @functools.wraps(made)
    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        nonlocal takes, gives, named
        if config.jaxtyping_disable:
            return made(*args, **kwargs)
        if takes is None:
            takes, gives, named = _check(made, typechecker)
        if not named:
            takes(*args, **kwargs)
            found = made(*args, **kwargs)
            gives(found)
            return found
        with jaxtyped("context"):  # an axis is as long wherever it is named between here and the result
            try:
                takes(*args, **kwargs)
                found = made(*args, **kwargs)
                gives(found)
            except BeartypeCallHintViolation as error:
                with redirect_stdout(io.StringIO()) as axes:
                    jaxtyping.print_bindings()
                error.add_note(f"{made.__module__}.{made.__qualname__}: {axes.getvalue()}")
                raise
            return found

    return call


def _check(made: types.FunctionType, typechecker: Any) -> Check:
    if "<locals>" not in made.__qualname__:
        return _compiled(made, typechecker)
    place = made.__module__, made.__qualname__, made.__code__.co_firstlineno
    if place not in _of_inner:
        _of_inner[place] = _compiled(made, typechecker)
    return _of_inner[place]


def _compiled(made: types.FunctionType, typechecker: Any) -> Check:
    """What looks at the arguments, what looks at the result, and whether they name axes."""
    hints = {name: _resolved(hint, made.__globals__) for name, hint in made.__annotations__.items()}
    parameters = [
        p.replace(annotation=p.empty, default=p.default if p.default is p.empty else None)
        for p in inspect.signature(made).parameters.values()
    ]
    takes, gives = _empty(inspect.Signature(parameters)), _empty("(result)")
    takes.__defaults__, takes.__kwdefaults__ = made.__defaults__, made.__kwdefaults__
    takes.__annotations__ = {name: hint for name, hint in hints.items() if name != "return"}
    gives.__annotations__ = {"result": hints["return"]} if "return" in hints else {}
    for one in (takes, gives):
        one.__name__, one.__qualname__, one.__module__ = made.__name__, made.__qualname__, made.__module__
    return typechecker(takes), typechecker(gives), any(map(_names_axes, hints.values()))


def _empty(signature: object) -> types.FunctionType:
    space: dict[str, Any] = {}
    exec(f"def empty{signature}: pass", space)
    return space["empty"]


def _resolved(hint: object, names: dict[str, Any]) -> object:
    """The hint, with what is quoted in it looked up; anything where a name is for the type checker alone."""

    def holder() -> None: ...

    holder.__annotations__ = {"hint": hint}
    try:
        return typing.get_type_hints(holder, names, include_extras=True)["hint"]
    except NameError:
        return Any


def _names_axes(hint: object) -> bool:
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(_names_axes(part) for part in typing.get_args(hint))


jaxtyping.jaxtyped = _sparing


@contextmanager
def unchecked() -> Iterator[None]:
    """Within it nothing is checked, as users run it."""
    config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", False)
