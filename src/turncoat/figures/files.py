"""Pictures to files: the same bytes for the same picture."""

import os
from pathlib import Path

from matplotlib.figure import Figure

from turncoat.figures import style
from turncoat.writing import PICTURES, check_picture, write_whole


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as .png, .svg or .pdf; its caption goes into the file's metadata.

    What has no such ending, as standard output or a pipe may, gets a .png. The figure keeps the layout and
    the resolution that it gets.

    Raises:
        TurncoatError: as ``writing.check_picture``, or if the file cannot be written.
    """
    wanted = check_picture(path)
    ending = wanted.suffix.lower() if wanted.suffix.lower() in PICTURES else ".png"

    style.settle(figure)

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
