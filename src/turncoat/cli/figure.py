"""``turncoat figure``: pictures from a store alone."""

import itertools
import json
from typing import TYPE_CHECKING, Any

import click

from turncoat import errors
from turncoat.cli import early, options, progress
from turncoat.errors import TurncoatError
from turncoat.sweep.opening import refuse_unreadable
from turncoat.writing import check_picture, is_shown

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = """
\b
Examples:
  turncoat figure --list
  turncoat figure heatmap --store results.db -o heatmap.png
  turncoat figure budget --where selection=strongest -o strongest.png
  turncoat figure defences --store d.db -o defences.png
  turncoat figure certificate --store d.db --choose method=run_off -o certificate.png
  turncoat figure plan --store planned.db -o plan.png
  turncoat figure epochs --where goal=targeted --metric macro_f1 -o epochs.pdf
"""


@click.command(epilog=EXAMPLES)
@click.argument("name", required=False)
@options.store
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Where to: .png, .svg or .pdf; - is standard output, as .png.  [default: NAME.png]",
)
@click.option("--list", "listed", is_flag=True, help="Show which pictures there are.")
@click.option("--metric", default="accuracy", show_default=True, help="accuracy, macro_f1 or test_loss.")
@click.option("--statistic", default="tail", show_default=True, help="tail (last 10 % of epochs) or last.")
@click.option("--where", multiple=True, metavar="KEY=VALUE", help="Keep these rows; may be repeated.")
@click.option("--choose", multiple=True, metavar="KEY=VALUE", help="A picture's own choice; see --list.")
def figure(
    name: str | None,
    store: str,
    output: str | None,
    listed: bool,
    metric: str,
    statistic: str,
    where: tuple[str, ...],
    choose: tuple[str, ...],
) -> None:
    """Draw the picture NAME from a store."""
    if listed:
        show_list()
        return
    name = early.picture(name, metric, statistic)
    path = check_picture(output or f"{name}.png")
    refuse_unreadable(store)
    from turncoat.figures import FIGURES, check, draw
    from turncoat.figures.chosen import MEASURED

    spec = FIGURES[name]
    curves = read(store, spec.reads)
    kept = pairs(where, "--where", repeated=True)
    for key in kept:
        errors.choose(key, [str(c) for c in curves.columns if c not in MEASURED - {"seed"}], "column")
    own = pairs(choose, "--choose")
    for key in own:
        errors.choose(key, own_choices(name), f"choice of figure {name!r}")
    if spec.make is not None:
        asked = {key: own.pop(key) for key in spec.makes if key in own}
        check(name, path, metric=metric, statistic=statistic, **own)
        with progress.bar(f"making the {name}", quiet=False, unit="rounds") as report:
            made = spec.make(curves, kept, report, **asked)
        draw(name, made, path, metric=metric, statistic=statistic, **own)
    else:
        draw(name, curves, path, metric=metric, statistic=statistic, where=kept or None, **own)
    if not is_shown(path):
        click.echo(str(path))


def show_list() -> None:
    """Print a line for each picture."""
    from turncoat.figures import FIGURES

    for known, spec in FIGURES.items():
        choices = ", ".join(own_choices(known))
        click.echo(f"{known:12} {spec.help}" + (f" (choices: {choices})" if choices else ""))


def read(store: str, kind: str) -> "pd.DataFrame":
    """The frame of this kind, ``curves`` or ``visibility``, from a store.

    Raises:
        TurncoatError: if the store has no such rows.
    """
    from turncoat.sweep.store import open_store

    with open_store(store) as opened:
        frame: pd.DataFrame = getattr(opened, kind)()
        if frame.empty and opened.keys():
            raise TurncoatError(
                f"{store}: no cell of the store is a federation, so there are no messages; sweep one with workers"
                " set"
            )
    if frame.empty:
        raise TurncoatError(
            f"{store}: the store has no cells yet; fill it with: turncoat sweep --store {store}"
        )
    return frame


def own_choices(name: str) -> list[str]:
    """What --choose may say for a picture; the other choices have options of their own."""
    from turncoat.figures import FIGURES

    known = (*FIGURES[name].choices, *FIGURES[name].makes)
    return [choice for choice in known if choice not in ("where", "metric", "statistic")]


def pairs(texts: tuple[str, ...], option: str, repeated: bool = False) -> dict[str, Any]:
    """Keys and values; a value is read as a number, a list or true and false where it is one, else as text.

    A key that is ``repeated`` has a list of all its values.

    Raises:
        TurncoatError: for something without "=", or a key that may not be repeated and is.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise TurncoatError(f"{option} is {text!r}, but must be a key and a value, such as goal=targeted")
        read = _read(key, value)
        if key in found and not repeated:
            raise TurncoatError(f"{option} {key} is given twice; give it once")
        if key in found:
            both = (part if isinstance(part, list) else [part] for part in (found[key], read))
            read = [*itertools.chain(*both)]
        found[key] = read
    return found


def _read(key: str, value: str) -> Any:
    if key == "fingerprint":  # which may look like a number
        return value
    try:
        return json.loads(value.lower() if value in ("True", "False") else value)
    except (ValueError, RecursionError):  # no number, or one that is too long: text, which nothing is called
        return value
