"""Pictures to files: whole or not at all, and the same bytes for the same picture."""

import os
import tempfile
from pathlib import Path

from matplotlib.figure import Figure

from turncoat.errors import TurncoatError
from turncoat.figures import style

ENDINGS = (".pdf", ".png", ".svg")


def check_path(path: str | os.PathLike[str]) -> Path:
    """The path, if a picture can be written there.

    Raises:
        TurncoatError: for an ending other than .png, .svg or .pdf, or a folder that does not exist.
    """
    wanted = Path(path)
    if wanted.suffix.lower() not in ENDINGS:
        raise TurncoatError(
            f"{wanted}: a picture cannot end in {wanted.suffix!r} (allowed: {', '.join(ENDINGS)})"
        )
    if not wanted.parent.is_dir():
        raise TurncoatError(f"{wanted}: the folder {str(wanted.parent)!r} does not exist; make it first")
    if wanted.is_dir():
        raise TurncoatError(f"{wanted}: this is a folder; give a file name, such as budget.png")
    return wanted


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as .png, .svg or .pdf; its caption goes into the file's metadata.

    Raises:
        TurncoatError: as ``check_path``, or if the file cannot be written.
    """
    wanted = check_path(path)
    ending = wanted.suffix.lower()
    part: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=wanted.parent, prefix=f".{wanted.stem}.", suffix=ending)
        part = Path(name)
        with os.fdopen(handle, "wb") as file, style.applied():
            figure.savefig(file, format=ending[1:], metadata=_metadata(ending, figure))
        part.chmod(0o666 & ~_umask())  # mkstemp's files are private
        part.replace(wanted)
    except OSError as error:
        raise TurncoatError(f"{wanted}: cannot be written: {error.strerror or error}") from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def _metadata(ending: str, figure: Figure) -> dict[str, str | None]:
    text = str(figure.get_label())
    if ending == ".png":
        return {"Software": None, "Description": text}
    if ending == ".svg":
        return {"Date": None, "Creator": None, "Description": text}
    return {"CreationDate": None, "Creator": None, "Producer": None, "Subject": text}


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
