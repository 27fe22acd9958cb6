"""``turncoat figure``: pictures from a store alone."""

import json
from typing import Any

import click

from turncoat.cli import options
from turncoat.errors import TurncoatError

EXAMPLES = """
\b
Examples:
  turncoat figure --list
  turncoat figure heatmap --store results.db -o heatmap.png
  turncoat figure epochs --where goal=targeted --metric macro_f1 -o epochs.pdf
"""


@click.command(epilog=EXAMPLES)
@click.argument("name", required=False)
@options.store
@click.option("-o", "--output", metavar="FILE", help="Where to: .png, .svg or .pdf.  [default: NAME.png]")
@click.option("--list", "listed", is_flag=True, help="Show which pictures there are.")
@click.option("--metric", default="accuracy", show_default=True, help="accuracy or macro_f1.")
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
    from turncoat import errors
    from turncoat.figures import FIGURES, draw
    from turncoat.figures.files import check_path
    from turncoat.sweep.store import open_store

    if listed:
        for known, spec in FIGURES.items():
            own = ", ".join(c for c in spec.choices if c not in ("where", "metric", "statistic"))
            click.echo(f"{known:12} {spec.help}" + (f" (choices: {own})" if own else ""))
        return
    if name is None:
        raise TurncoatError(f"which picture? type one of: {', '.join(sorted(FIGURES))}")
    path = check_path(output or f"{errors.choose(name, FIGURES, 'figure')}.png")
    errors.choose(name, FIGURES, "figure")
    with open_store(store) as opened:
        curves = getattr(opened, FIGURES[name].reads)()
        bare = FIGURES[name].reads != "curves" and curves.empty and opened.keys()
    if bare:
        raise TurncoatError(
            f"{store}: no cell of the store is a federation, so there are no messages; sweep one with workers set"
        )
    if curves.empty:
        raise TurncoatError(
            f"{store}: the store has no cells yet; fill it with: turncoat sweep --store {store}"
        )
    kept = pairs(where, "--where")
    for key in kept:
        errors.choose(key, [str(column) for column in curves.columns], "column")
    draw(
        name,
        curves,
        path,
        metric=metric,
        statistic=statistic,
        where=kept or None,
        **pairs(choose, "--choose"),
    )
    click.echo(str(path))


def pairs(texts: tuple[str, ...], option: str) -> dict[str, Any]:
    """Keys and values; a value is read as a number, a list or true and false where it is one, else as text.

    Raises:
        TurncoatError: for something without "=".
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise TurncoatError(f"{option} is {text!r}, but must be a key and a value, such as goal=targeted")
        try:
            found[key] = json.loads(value)
        except json.JSONDecodeError:
            found[key] = value
    return found
