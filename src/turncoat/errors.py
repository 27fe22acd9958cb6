"""The one kind of error a user's mistake raises: a single line that says what came and what to type."""

import difflib
import functools
import inspect
import math
import numbers
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

Call = TypeVar("Call", bound=Callable[..., Any])

_OURS = ("turncoat", "jaxtyping", "beartype")  # packages whose lines are not the user's
LONGEST = 80  # characters of a value that a message shows

LARGEST = (
    1e15  # of a setting or a feature: products of both, and sums of squares, stay within what float32 holds
)


class TurncoatError(ValueError):
    """A user's mistake; the message is one line, and the command line exits with code 2."""

    def __init__(self, message: str = "") -> None:
        super().__init__(" ".join(line.strip() for line in str(message).splitlines()))


class TurncoatWarning(UserWarning):
    """What a user should know of a result; the message begins with the warning's name, and is one line."""


class EvaluationModeWarning(TurncoatWarning):
    """``evaluation-mode``: flips are exact for the module in evaluation mode, and it trains in another."""


class IdleThreatWarning(TurncoatWarning):
    """``idle-threat``: a threat, or one of its fields, can do nothing in this training."""


def warn(message: str, category: type[TurncoatWarning]) -> None:
    """Warn at the line of the user's own code that led here, whatever stands between."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).split(".")[0] in _OURS:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def known_arguments(call: Call) -> Call:
    """The function or dataclass, with a wrong, missing or surplus argument told as any other mistake.

    Raises:
        TurncoatError: with the nearest name, when it is called.
    """
    inner = vars(call)["__init__"] if isinstance(call, type) else call
    names = [name for name in inspect.signature(inner).parameters if name != "self"]

    @functools.wraps(inner)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            return inner(*args, **kwargs)
        except TypeError as error:
            told = _misfit(call.__name__, inner, names, args, kwargs)
            if told is None:
                raise
            raise TurncoatError(told) from error

    if isinstance(call, type):
        call.__init__ = checked  # type: ignore[misc]
        return call
    return cast(Call, checked)


def _misfit(
    called: str, inner: Callable[..., Any], names: list[str], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> str | None:
    """What is wrong with these arguments; None if they fit."""
    for name in kwargs:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            return f"{called} has no argument {name!r}{hint} (allowed: {', '.join(names)})"
    try:
        inspect.signature(inner).bind(*args, **kwargs)
    except TypeError as error:
        return f"{called}: {error} (arguments: {', '.join(names)})"
    return None


def first_line(error: BaseException) -> str:
    """An error in one line."""
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def reason(error: BaseException) -> str:
    """The first line of another library's or the user's own exception, as a message quotes it."""
    text = (str(error).strip().splitlines() or [""])[0][: 2 * LONGEST]
    known = isinstance(error, RuntimeError | ValueError) and text
    return text if known else f"{type(error).__name__}: {text}".rstrip(": ")


def shown(value: object) -> str:
    """``value`` as a message shows it: on one line, and short whatever it is."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a repr of the user's own may fail; the message about the value must not
        text = f"<{type(value).__name__}>"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({type(value).__name__})"


def choose(name: object, allowed: Iterable[str], what: str) -> str:
    """Return ``name`` if it is one of ``allowed``.

    Raises:
        TurncoatError: says what came, the nearest allowed name, and all allowed names.
    """
    names = sorted(allowed)
    if isinstance(name, str) and name in names:
        return name
    near = difflib.get_close_matches(name if isinstance(name, str) else shown(name), names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise TurncoatError(f"unknown {what} {shown(name)}{hint} (allowed: {', '.join(names)})")


def share(value: object, what: str) -> float:
    """Return ``value`` as a float in [0, 1].

    Raises:
        TurncoatError: if it is not a number between 0 and 1.
    """
    number = real(value, what)
    if not 0 <= number <= 1:
        raise TurncoatError(
            f"{what} is {shown(value)}, but it is a share: give a number from 0 to 1, such as 0.25"
        )
    return number


def shares(values: object, what: str) -> list[float]:
    """Return one share, or several, as a list of floats in [0, 1] without repetitions.

    Raises:
        TurncoatError: if there is none, or one of them is not a number between 0 and 1.
    """
    several = isinstance(values, Iterable) and not isinstance(values, str | bytes)
    found = [share(value, what) for value in (list(values) if several else [values])]  # type: ignore[call-overload]
    if not found:
        raise TurncoatError(f"there is no {what}: give at least one, such as 0.25")
    return list(dict.fromkeys(found))


def real(value: object, what: str) -> float:
    """Return ``value`` as a finite float, of a size that single precision can work with.

    Raises:
        TurncoatError: if it is not a finite number, or larger than any setting needs to be.
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:  # an integer of hundreds of digits
            number = math.inf
        if abs(number) <= LARGEST:
            return number
        if math.isfinite(number):
            raise TurncoatError(f"{what} is {shown(value)}, but may be {LARGEST:g} at most")
    raise TurncoatError(f"{what} is {shown(value)}, but must be a finite number")


def positive(value: object, what: str) -> float:
    """Return ``value`` as a float above 0.

    Raises:
        TurncoatError: if it is not a finite number above 0.
    """
    number = real(value, what)
    if number <= 0:
        raise TurncoatError(f"{what} is {shown(value)}, but must be above 0")
    return number


def whole(value: object, what: str, least: int = 0) -> int:
    """Return ``value`` as an int of at least ``least``, and small enough to count with.

    Raises:
        TurncoatError: if it is not a whole number or is too small or too large.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise TurncoatError(f"{what} is {shown(value)}, but must be a whole number, {least} or more")
    number = int(value)
    if number > sys.maxsize:
        raise TurncoatError(f"{what} is {shown(value)}, but must be a whole number up to {sys.maxsize}")
    return number


def text(value: object, what: str) -> str:
    """Return ``value`` as a name that is not empty.

    Raises:
        TurncoatError: if it is not text or empty.
    """
    if not isinstance(value, str) or not value:
        raise TurncoatError(f"{what} is {shown(value)}, but must be a name in quotes")
    return value


def told_of(progress: object, what: str) -> None:
    """Refuse a ``progress`` that can't be called with two numbers; None is told of nothing.

    Raises:
        TurncoatError: says which two numbers it is called with.
    """
    if progress is not None and not _takes_two(progress):
        raise TurncoatError(f"progress is {shown(progress)}, but must be a function of two numbers: {what}")


def _takes_two(call: object) -> bool:
    if not isinstance(call, Callable):  # type: ignore[arg-type]
        return False
    try:
        inspect.signature(call).bind(0, 0)  # type: ignore[arg-type]
    except TypeError:
        return False
    except ValueError:  # some built-in functions have no signature
        return True
    return True


def up(value: float) -> str:
    """A number above 0, rounded up to three digits, so that what is typed suffices."""
    digits = 2 - math.floor(math.log10(value))
    return f"{math.ceil(round(value * 10**digits, 6)) / 10**digits:g}"
