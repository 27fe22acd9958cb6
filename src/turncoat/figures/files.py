"""Pictures to files: the same bytes for the same picture."""

import os
from pathlib import Path

from matplotlib.figure import Figure

from turncoat.errors import TurncoatError
from turncoat.figures import style
from turncoat.writing import is_stream, refuse_place, write_whole

ENDINGS = (".pdf", ".png", ".svg")


def check_path(path: str | os.PathLike[str]) -> Path:
    """The path, if a picture can be written there; ``-`` is standard output.

    Raises:
        TurncoatError: for an ending other than .png, .svg or .pdf, or as ``writing.refuse_place``.
    """
    wanted = Path(path)
    if not is_stream(wanted) and wanted.suffix.lower() not in ENDINGS:
        raise TurncoatError(
            f"{wanted}: a picture cannot end in {wanted.suffix!r} (allowed: {', '.join(ENDINGS)})"
        )
    refuse_place(wanted)
    return wanted


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as .png, .svg or .pdf; its caption goes into the file's metadata.

    What has no such ending, as standard output or a pipe may, gets a .png.

    Raises:
        TurncoatError: as ``check_path``, or if the file cannot be written.
    """
    wanted = check_path(path)
    ending = wanted.suffix.lower() if wanted.suffix.lower() in ENDINGS else ".png"

    def write(part: Path) -> None:
        with style.applied():
            figure.savefig(part, format=ending[1:], metadata=_metadata(ending, figure))

    write_whole(wanted, write)


def _metadata(ending: str, figure: Figure) -> dict[str, str | None]:
    text = str(figure.get_label())
    if ending == ".png":
        return {"Software": None, "Description": text}
    if ending == ".svg":
        return {"Date": None, "Creator": None, "Description": text}
    return {"CreationDate": None, "Creator": None, "Producer": None, "Subject": text}
