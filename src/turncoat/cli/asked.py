"""Options that say which runs of the papers' artefacts are meant."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from turncoat.cli import early, options
from turncoat.errors import TurncoatError, choose
from turncoat.precision import FLOAT32, PRECISIONS

if TYPE_CHECKING:
    from turncoat.reproduce.plan import Wanted


def asking(command: Any) -> Any:
    """The options that say which runs are meant."""
    for option in (
        click.option(
            "--quick", is_flag=True, help="Minutes in place of hours: few seeds and epochs, a thin grid."
        ),
        click.option("--epochs", type=int, default=None, help="Epochs.  [default: 200, as in the papers]"),
        click.option(
            "--seeds", type=options.Seeds(), default=None, help="How many seeds, or which: 6 or 0,3,5."
        ),
        click.option(
            "--scale", "scales", multiple=True, help="raw, unit or standard; may be repeated.  [default: all]"
        ),
        click.option(
            "--precision",
            default=FLOAT32,
            show_default=True,
            help=f"Numbers that products of steps and rounds are taken in ({', '.join(PRECISIONS)}).",
        ),
        click.option(
            "--from", "extract", metavar="FOLDER", help="Read extracts in place of a store; trains nothing."
        ),
        click.option("--store", default="results.db", show_default=True, metavar="FILE", help="The store."),
    ):
        command = option(command)
    return command


def wish(asked: dict[str, Any], device: str | None = None) -> "Wanted":
    """What the options ask for."""
    chosen = tuple(choose(scale, early.NAMES["scale"], "scale") for scale in asked["scales"])
    numbers = choose(asked["precision"], PRECISIONS, "precision")
    from turncoat.data import SCALES
    from turncoat.reproduce.plan import Wanted

    scales = chosen or tuple(SCALES)
    return Wanted(scales, asked["seeds"], asked["epochs"], asked["quick"], device, numbers)


def refuse_both(extract: str | None) -> None:
    """Refuse a store beside extracts: only one of them can be read.

    Raises:
        TurncoatError: if both were typed.
    """
    source = click.get_current_context().get_parameter_source("store")
    if extract is not None and source is ParameterSource.COMMANDLINE:
        raise TurncoatError("--from reads extracts in place of a store: leave --from or --store out")


def refuse_idle(why: str) -> None:
    """Refuse options of the training beside one that trains nothing.

    Raises:
        TurncoatError: if one of them was typed.
    """
    context = click.get_current_context()
    for name in ("device", "jobs"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise TurncoatError(f"{why} trains nothing, so --{name} does nothing: leave it out")


def refuse_file(output: str) -> Path:
    """The folder for the files, which need not be there yet.

    Raises:
        TurncoatError: if a file is in its place.
    """
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise TurncoatError(f"{folder} is a file, but -o names a folder")
    return folder


def made(output: str) -> Path:
    """The folder for the files, made if it is absent.

    Raises:
        TurncoatError: if a file is in its place.
    """
    folder = refuse_file(output)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def typed(asked: dict[str, Any]) -> str:
    """The options that say which runs are meant, but for the scale, as they were typed."""
    seeds = asked["seeds"]
    parts = ["--quick"] * asked["quick"]
    parts += [f"--epochs {asked['epochs']}"] if asked["epochs"] else []
    parts += [f"--seeds {seeds if isinstance(seeds, int) else ','.join(map(str, seeds))}"] if seeds else []
    parts += [f"--precision {asked['precision']}"] if asked["precision"] != FLOAT32 else []
    return "".join(f" {part}" for part in parts)
