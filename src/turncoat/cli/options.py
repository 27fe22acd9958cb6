"""Command-line options made from the described fields of Problem, Recipe, Federation and Threat."""

import dataclasses
import functools
import re
import types
import typing
from collections.abc import Callable
from typing import Any

import click

from turncoat.errors import TurncoatError
from turncoat.federation.federation import Federation
from turncoat.fields import Description, descriptions
from turncoat.recipe import Recipe
from turncoat.sweep.problem import Problem
from turncoat.threat import Threat

Command = Callable[..., Any]
PARTS: tuple[type, ...] = (Threat, Problem, Recipe, Federation)


def settings(command: Command) -> Command:
    """Give a command one option per described field; an option that was not typed arrives as None."""
    for part in reversed(PARTS):
        command = described(part)(command)
    return command


def described(part: type) -> Command:
    """Give a command one option for each described field of one part."""

    def added(command: Command) -> Command:
        for name, (field, description) in reversed(descriptions(part).items()):
            command = _option(name, field, description)(command)
        return command

    return added


def given(values: dict[str, Any]) -> dict[str, Any]:
    """The settings that were typed."""
    return {name: value for name, value in values.items() if value is not None}


def flag(name: str) -> str:
    """The option that sets a field, as people type it."""
    for part in PARTS:
        if name in descriptions(part):
            return descriptions(part)[name][1].flag or _plain_flag(name)
    return _plain_flag(name)


def in_typed_words(command: Command) -> Command:
    """Within this command errors name options as they are typed, not the fields that they set."""

    @functools.wraps(command)
    def said(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except TurncoatError as error:
            raise TurncoatError(as_typed(str(error))) from error

    return said


def as_typed(message: str) -> str:
    """A message about fields, with the options that set them: ``--budget`` for local_budget."""
    for name in sorted((name for part in PARTS for name in descriptions(part)), key=len, reverse=True):
        typed = flag(name)
        message = re.sub(rf"(?<![\w'/-]){name} = '?([\w.:+-]*[\w])'?", rf"{typed} \1", message)
        message = re.sub(rf"^{name} (?=is |'|needs |\S+ would do nothing)", f"{typed} ", message)
        message = re.sub(rf"\b(leave|set|raise) {name}\b", rf"\1 {typed}", message)
        if "_" in name:  # no word of any other text
            message = re.sub(rf"(?<![\w'/-]){name}(?![\w'])", typed, message)
    return message


class Seeds(click.ParamType):
    """A count of seeds, or the seeds themselves."""

    name = "N|LIST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """An int (a count) or a list of ints."""
        if not isinstance(value, str):
            return value
        try:
            numbers = [int(part) for part in value.split(",") if part.strip()]
        except ValueError:
            numbers = []
        if not numbers:
            self.fail(f"{value!r} is neither a count, such as 6, nor a list, such as 0,3,5", param, ctx)
        return numbers if "," in value else numbers[0]


seeds = click.option(
    "--seeds", type=Seeds(), help="How many seeds, or which: 6 or 0,3,5.  [default: 6]", default=None
)
device = click.option("--device", help="Where to train: cpu or cuda.  [default: cpu]", default=None)
jobs = click.option(
    "--jobs",
    type=click.IntRange(1),
    default=None,
    metavar="N",
    help="Processes that train at once; on a CPU as many as it has cores is fastest.  [default: 1]",
)
quiet = click.option("--quiet", "-q", is_flag=True, help="No progress bar and no table.")
store = click.option(
    "--store", default="turncoat.db", show_default=True, metavar="FILE", help="The store of a sweep."
)


def _option(name: str, field: dataclasses.Field[Any], description: Description) -> Command:
    flags = dict.fromkeys((description.flag or _plain_flag(name), _plain_flag(name)))
    symbol = description.help[1] == ":"  # k and b are symbols of their own beside K and B
    about = description.help if symbol else description.help[0].upper() + description.help[1:]
    shown = "" if field.default is None else f"  [default: {field.default}]"
    choices = f" ({', '.join(description.choices)})" if description.choices else ""
    if field.type is bool:
        return click.option(
            f"{_plain_flag(name)}/--no-{name}", name, default=None, help=f"{about}.{shown.lower()}"
        )
    if description.several:
        return click.option(*flags, name, multiple=True, callback=_with_commas, help=f"{about}.")
    return click.option(*flags, name, type=_type(field.type), default=None, help=f"{about}{choices}.{shown}")


def _with_commas(ctx: click.Context, param: click.Parameter, names: tuple[str, ...]) -> str | None:
    return ",".join(names) if names else None


def _plain_flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _type(annotation: Any) -> Any:
    kinds: tuple[Any, ...] = (annotation,)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        kinds = typing.get_args(annotation)
    return next((kind for kind in (int, float) if kind in kinds), str)
