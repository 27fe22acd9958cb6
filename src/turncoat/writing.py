"""Files that are there whole or not at all, wherever something is written; ``-`` is standard output.

Links are followed. What is no regular file, such as a pipe or a device, is written through, never replaced.
"""

import errno
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from turncoat.errors import TurncoatError

STANDARD_OUTPUT = Path("-")
PICTURES = (".pdf", ".png", ".svg")  # how a picture's file may end
SQLITE = b"SQLite format 3"  # how every store begins


def refuse_places(paths: Iterable[Path], read: Iterable[Path] = ()) -> None:
    """Refuse paths at which files can't be written, or where one would overwrite what is ``read``.

    Raises:
        TurncoatError: if two are the same, one is read, or as ``refuse_place``.
    """
    seen: set[Path] = set()
    own = {path.resolve() for path in read}
    for path in paths:
        refuse_place(path)
        if path.resolve() in own:
            raise TurncoatError(f"{path} is read here, and this would overwrite it; name another file")
        if path.resolve() in seen:
            raise TurncoatError(f"{path} is named for two files; give each its own name")
        seen.add(path.resolve())


def refuse_place(path: Path) -> None:
    """Refuse a path at which no file can be written, or where one would overwrite a store.

    Raises:
        TurncoatError: if its folder is absent, or it is a folder or a store itself.
    """
    if path == STANDARD_OUTPUT:
        return
    if not path.parent.is_dir():
        raise TurncoatError(f"{path}: there is no folder {path.parent}; make it first, or name another file")
    if path.is_dir():
        raise TurncoatError(f"{path} is a folder; name a file in it")
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise TurncoatError(
            f"{path} leads to {target}, but there is no folder {target.parent}; make it first"
        )
    if path.is_file() and os.access(path, os.R_OK):
        with path.open("rb") as file:
            if file.read(len(SQLITE)) == SQLITE:
                raise TurncoatError(f"{path} is a store, which this would overwrite; name another file")


def check_picture(path: str | os.PathLike[str]) -> Path:
    """The path, if a picture can be written there; ``-`` is standard output.

    Raises:
        TurncoatError: for an ending other than .png, .svg or .pdf, or as ``refuse_place``.
    """
    wanted = Path(path)
    if not is_stream(wanted) and wanted.suffix.lower() not in PICTURES:
        raise TurncoatError(
            f"{wanted}: a picture cannot end in {wanted.suffix!r} (allowed: {', '.join(PICTURES)})"
        )
    refuse_place(wanted)
    return wanted


def is_shown(path: Path) -> bool:
    """Whether what is written there comes out at standard output, so that nothing else may."""
    return path == STANDARD_OUTPUT or _standard(path) == 1


def is_stream(path: Path) -> bool:
    """Whether the path is standard output, or a pipe, a device or the like."""
    return path == STANDARD_OUTPUT or (path.exists() and not path.is_file())


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Have ``write`` write a file of its own, then put that in the place of ``path``, or through it.

    Raises:
        TurncoatError: if it cannot be written.
    """
    try:
        if is_stream(path) or _standard(path) is not None:
            _write_through(path, write)
        else:
            _replace(_target(path), write)
    except BrokenPipeError:
        raise  # whoever read it has closed it
    except OSError as error:
        raise TurncoatError(f"{path}: cannot be written: {error.strerror or error}") from error


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    part = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        part.open("xb").close()
        if path.exists():
            shutil.copymode(path, part)
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write_through(path: Path, write: Callable[[Path], object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / f"part{path.suffix}"
        write(part)
        with part.open("rb") as source, _opened(path) as sink:
            shutil.copyfileobj(source, sink)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    number = 1 if path == STANDARD_OUTPUT else _standard(path)
    if number is None:
        with os.fdopen(os.open(path, os.O_WRONLY), "wb") as file:
            yield file
        return
    stream = sys.stdout if number == 1 else sys.stderr
    stream.flush()
    if hasattr(stream, "buffer"):
        yield stream.buffer
        stream.buffer.flush()
    else:  # in a notebook
        with os.fdopen(number, "wb", closefd=False) as file:
            yield file


def _standard(path: Path) -> int | None:
    """1 or 2 if the path is what standard output or the error stream goes to already, be it a file."""
    for number in (1, 2):
        try:
            if os.path.samestat(path.stat(), os.fstat(number)):
                return number
        except OSError:
            continue
    return None


def _target(path: Path) -> Path:
    """Where the path leads, there or not.

    Raises:
        OSError: for links that lead in a circle.
    """
    try:
        target = path.resolve()
    except RuntimeError:  # how older versions of Python tell it
        target = path
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return target
