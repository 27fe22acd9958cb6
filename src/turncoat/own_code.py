"""Code of one's own by name: ``module:callable``, imported, and told apart by what its source says.

``module:callable@1a2b3c4d5e`` is the callable with the code that had this digest: so a result says which code it is of,
and code that was edited since is not taken for it. A digest is over the source of the module and of the modules that
it imports, as far as they are the user's own; of installed packages it holds the name and version. What code reads
beside that (files, the environment) is not seen.
"""

import ast
import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from turncoat.errors import TurncoatError, first_line

DIGITS = 10
INSTALLED = ("site-packages", "dist-packages")
PACKAGE = Path(__file__).parent

# what a module's source was when it was first looked at: Python goes on with what it imported
_SEEN: dict[str, tuple[ModuleSpec, str]] = {}


def split(name: str) -> tuple[str, str]:
    """``module:callable`` and the digest that a name ends in, if any."""
    plain, _, digest = name.partition("@")
    return plain, digest


def imported(name: str, what: str, like: str, returns: str) -> Callable[..., Any]:
    """The callable of that name, whatever digest it ends in.

    ``what`` it is for, an example such as ``mypkg.nets:make`` and what it ``returns`` are told to who types it wrong.

    Raises:
        TurncoatError: if it cannot be imported, or is no callable.
    """
    plain, _ = split(name)
    module_name, _, attribute = plain.partition(":")
    if not module_name or not attribute:
        raise TurncoatError(f"{what} {name!r} must be MODULE:CALLABLE, such as {like}")
    try:
        with _working_folder():
            found: Any = importlib.import_module(module_name)
    except Exception as error:
        raise TurncoatError(f"{what} {name!r}: cannot import {module_name!r}: {first_line(error)}") from error
    try:
        for part in attribute.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise TurncoatError(f"{what} {name!r}: {first_line(error)}") from error
    if not callable(found):
        raise TurncoatError(
            f"{what} {name!r} is {type(found).__name__}, but must be a callable that returns {returns}"
        )
    made: Callable[..., Any] = found
    return made


def digest(name: str, *more: str) -> str:
    """Ten hex digits that change when the source of an imported ``module:callable`` does, or anything of ``more``.

    Raises:
        TurncoatError: if a file was edited after it was imported, so that what runs is not what it says.
    """
    module_name, _, attribute = split(name)[0].partition(":")
    with _working_folder():
        sources = _sources(module_name) or {module_name: _without_file(module_name, attribute)}
    parts = [text for module in sorted(sources) for text in (module, sources[module])]
    text = "\0".join((*parts, *more))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def coded(name: str, what: str, *more: str) -> str:
    """A name of one's own code with its digest behind it.

    Raises:
        TurncoatError: if it ends in another digest already.
    """
    plain, code = split(name)
    now = digest(name, *more)
    if code not in ("", now):
        raise TurncoatError(
            f"{what} {plain!r} is no longer that of {code}, but of {now}: its code was edited"
        )
    return f"{plain}@{now}"


def rule(name: str, what: str, returns: str) -> Callable[..., Any]:
    """A rule of one's own, such as ``mypkg.rules:mine``; with a digest behind it, that code or none.

    Raises:
        TurncoatError: if it cannot be imported, is no callable, or its code was edited.
    """
    return _told_apart(name, what, returns) if split(name)[1] else _rule(name, what, returns)


def _rule(name: str, what: str, returns: str) -> Callable[..., Any]:
    return imported(name, what, "mypkg.rules:mine", returns)


@functools.lru_cache(maxsize=64)  # it is asked for in every round, and its name says which code it is
def _told_apart(name: str, what: str, returns: str) -> Callable[..., Any]:
    found = _rule(name, what, returns)
    coded(name, what)
    return found


def _sources(start: str) -> dict[str, str]:
    """The sources of a module and of the user's own modules that it imports, directly or not, by name."""
    found: dict[str, str] = {}
    left = [start]
    while left:
        name = left.pop()
        if name in found:
            continue
        spec = _spec(name)
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            continue
        if not _is_own(spec):
            if name == start:
                found[name] = f"{_read(spec)}\0{_version(name)}"
            continue
        found[name] = _read(spec)
        left += _parents(name)
        left += [other for other in _imports(found[name], spec) if _is_own(_spec(other.partition(".")[0]))]
    return found


def _imports(source: str, spec: ModuleSpec) -> Iterator[str]:
    """Names of what a module imports, wherever in its text; some may be no modules but what they hold."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a module that is imported later, or never
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from (*_parents(alias.name), alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = (spec.parent or "").split(".")
            kept = above[: len(above) + 1 - node.level] if node.level else []
            base = ".".join([*kept, *filter(None, [node.module])])
            yield from (*_parents(base), base, *(f"{base}.{alias.name}" for alias in node.names))


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]


def _spec(name: str) -> ModuleSpec | None:
    if name in sys.modules:
        return getattr(sys.modules[name], "__spec__", None)
    try:
        return importlib.util.find_spec(name) if name else None
    except (ImportError, AttributeError, ValueError):  # its parent is no package, or not there
        return None


def _is_own(spec: ModuleSpec | None) -> bool:
    """Whether a module is neither Python's, nor installed, nor turncoat's."""
    if spec is None:
        return False
    places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
    if not places or places[0] is None:
        return False
    path = Path(places[0]).resolve()
    if any(part in INSTALLED for part in path.parts) or path.is_relative_to(PACKAGE):
        return False
    return not path.is_relative_to(Path(sysconfig.get_path("stdlib")).resolve())


def _read(spec: ModuleSpec) -> str:
    assert spec.origin is not None
    text = Path(spec.origin).read_text(encoding="utf-8", errors="replace")
    known, before = _SEEN.setdefault(spec.name, (spec, text))
    if known is not spec:  # it was reloaded
        _SEEN[spec.name] = (spec, text)
    elif before != text and spec.name in sys.modules:
        raise TurncoatError(
            f"{spec.origin} was edited after Python imported it, so what runs is not what it says: start Python again"
        )
    return text


def _version(name: str) -> str:
    top = sys.modules.get(name.partition(".")[0])
    return str(getattr(top, "__version__", ""))


def _without_file(module_name: str, attribute: str) -> str:
    """The source of a callable whose module is no file, as in a notebook; empty if nobody knows it."""
    found: Any = sys.modules.get(module_name)
    for part in attribute.split("."):
        found = getattr(found, part, None)
    try:
        return inspect.getsource(found) if found is not None else ""
    except (OSError, TypeError):
        return ""


@contextmanager
def _working_folder() -> Iterator[None]:
    """Let the import see the working folder, as it would under ``python -m``."""
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)
