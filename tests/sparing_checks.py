"""Shapes and types are checked as jaxtyping checks them, at a fraction of what that takes.

``jaxtyped`` binds every call's arguments by Python's own slow means, looks at the arguments again together with the
result, and compiles a check for every function that is made. Here a check is two small functions that beartype
compiles when a function is first called: one takes what it takes, the other what it gives. Functions within functions
share the check of the first of them, and axes have names of their own only where a signature names any.

Looking at a tensor takes jaxtyping longer than most of our calls take. Where nothing but names of axes is asked for,
they are held against its shape here; whatever does not fit goes to jaxtyping itself, which says why.

A loop calls the same functions with the same shapes thousands of times. In each test the first calls of a function are
looked at, one by one, and from then on one in so many.
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
import torch
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import _array_types, _storage
from torch import Tensor

__name__ = "jaxtyping.sparing"  # what warns at the user's own line passes over jaxtyping's

FIRST, THEN = (
    24,
    16,
)  # calls of a function in one test that are all looked at; of those after them, one in so many

config = jaxtyping.config
Check = tuple[Callable[..., Any], Callable[[Any], Any], bool]
_lengths = _storage._shape_storage  # of the axes that the calls under way have named, call by call
_test = 0  # which test is under way, by number
_of_inner: dict[tuple[str, str, int], Check] = {}  # by where a function within a function stands


def begin_test() -> None:
    """From here on each function's first calls are looked at again."""
    global _test
    _test += 1


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
    test, count = -1, 0

    @functools.wraps(made)
    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        nonlocal takes, gives, named, test, count
        count = count + 1 if test == _test else 1
        test = _test
        if config.jaxtyping_disable or (count > FIRST and count % THEN):
            return made(*args, **kwargs)
        if takes is None:
            takes, gives, named = _check(made, typechecker)
        if not named:
            takes(*args, **kwargs)
            found = made(*args, **kwargs)
            gives(found)
            return found
        try:
            stack = _lengths.memo_stack
        except AttributeError:  # a thread's first call
            stack = _lengths.memo_stack = []
        stack.append(({}, {}, {}, {}))  # an axis is as long wherever it is named between here and the result
        try:
            takes(*args, **kwargs)
            found = made(*args, **kwargs)
            gives(found)
        except BeartypeCallHintViolation as error:
            with redirect_stdout(io.StringIO()) as axes:
                jaxtyping.print_bindings()
            error.add_note(f"{made.__module__}.{made.__qualname__}: {axes.getvalue()}")
            raise
        finally:
            stack.pop()
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


_Meta = _array_types._MetaAbstractArray
_in_full = _Meta.__instancecheck__
_asked: dict[type, tuple[frozenset[torch.dtype], tuple[str, ...]] | None] = {}


def _fits(hint: type, value: object) -> bool:
    """Whether a value is what the hint says, with its axes as long as they are elsewhere in the call."""
    try:
        asked = _asked[hint]
    except KeyError:
        asked = _asked[hint] = _by_names_alone(hint)
    if asked is not None and type(value) is Tensor:
        numbers, axes = asked
        shape = value.shape
        if value.dtype in numbers and len(shape) == len(axes):
            try:
                known = _lengths.memo_stack[-1][0]
            except (AttributeError, IndexError):  # outside all calls
                known = {}
            for axis, length in zip(axes, shape):  # noqa: B905 (as many of both)
                if known.get(axis, length) != length:
                    break
            else:
                known.update(zip(axes, shape))  # noqa: B905
                return True
    return _in_full(hint, value)


def _by_names_alone(hint: type) -> tuple[frozenset[torch.dtype], tuple[str, ...]] | None:
    """A tensor hint's numbers and axes, if all it asks of an axis is a name, and never the same twice."""
    axes = [axis.name for axis in hint.dims if _plainly_named(axis)] if hint.index_variadic is None else []
    if hint.array_type is not Tensor or len(set(axes)) < max(1, len(hint.dims)):
        return None
    _storage.push_shape_memo({})
    numbers = frozenset(n for n in NUMBERS if _in_full(hint, torch.empty([1] * len(axes), dtype=n)))
    _storage.pop_shape_memo()
    return numbers, tuple(axes)


def _plainly_named(axis: object) -> bool:
    return isinstance(axis, _array_types._NamedDim) and not (axis.broadcastable or axis.treepath)


WHOLE = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)
NUMBERS = (torch.bool, *WHOLE, torch.float16, torch.bfloat16, torch.float32, torch.float64)
_Meta.__instancecheck__ = _fits
jaxtyping.jaxtyped = _sparing


@contextmanager
def unchecked() -> Iterator[None]:
    """Within it nothing is checked, as users run it."""
    config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", False)
