"""What can be refused before anything heavy is imported and any data is read: PyTorch alone takes seconds."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from turncoat import defence
from turncoat.attack import names as rules
from turncoat.cli.options import PARTS
from turncoat.errors import TurncoatError, choose
from turncoat.federation.federation import Federation
from turncoat.federation.names import forges, imitated
from turncoat.fields import descriptions
from turncoat.sweep import axes, contradictions
from turncoat.sweep.cells import KEYS, Cell

NAMES = {
    "model": (
        "MODULE:CALLABLE",
        "cnn",
        "cnn:CHANNELS",
        "logistic",
        "mlp",
        "mlp:HIDDEN",
        "vit",
        "vit-base",
        "vit-small",
        "vit-tiny",
    ),
    "scale": ("raw", "standard", "unit"),
    "selection": (*rules.SELECTIONS, *rules.PARAMETRIC, rules.PLANNED, rules.STRONGEST, *rules.FORMS),
}
DRAWN = {
    "figure": (
        "budget",
        "certificate",
        "defences",
        "difference",
        "epochs",
        "harm",
        "heatmap",
        "matrix",
        "plan",
        "reach",
        "rules",
        "spread",
        "visibility",
    ),
    "metric": ("accuracy", "macro_f1", "test_loss"),
    "statistic": ("last", "tail"),
}
"""What may be typed; the tests hold this to the tables that the names are looked up in."""


def refuse(given: Mapping[str, Any]) -> None:
    """Accept what was typed, as far as it can be judged by itself.

    Raises:
        TurncoatError: for a value out of range, an unknown name, options that contradict each other, or no attacker.
    """
    if given.get("strongest") and given.get("selection") not in (None, "strongest"):
        raise TurncoatError(
            f"--strongest tries every rule, but --selection {given['selection']} names one: leave one of them out"
        )
    for part in _judged(given):
        part(**{name: value for name, value in given.items() if name in descriptions(part)})
    for name in NAMES:
        _judge_name(name, given.get(name, NAMES[name][0]))
    federated = bool(given.get("workers") or given.get("workers_from"))
    defence.refuse(
        given.get("defence", defence.NONE), federated, given.get("schedule", ""), given.get("patience", 0)
    )
    _judge_messages(given.get("selection"), federated)
    attackers = given.get("hostile") if federated else given.get("write_access")
    if not attackers:
        raise TurncoatError(nobody(given))
    named = {name: value for name, value in given.items() if name in (*KEYS, "seeds", "device")}
    _judge(axes.experiment({"selection": "optimal"} | named))


def picture(name: str | None, metric: str, statistic: str) -> str:
    """The name of a picture, if it and those of what it shows are known.

    Raises:
        TurncoatError: for an unknown name, or none.
    """
    if name is None:
        raise TurncoatError(f"which picture? type one of: {', '.join(DRAWN['figure'])}")
    for what, typed in (("figure", name), ("metric", metric), ("statistic", statistic)):
        choose(typed, DRAWN[what], what)
    return name


def read(path: str) -> axes.Experiment:
    """The experiment in a file, as far as it can be judged without its data.

    Raises:
        TurncoatError: if it cannot be read, asks for something unknown, or for what would do nothing.
    """
    asked = axes.read(path)
    with axes.telling(asked.name):
        for own in (asked.axes, *asked.also):
            for name in NAMES:
                for value in own.get(name, ()):
                    _judge_name(name, value)
    _judge(asked)
    return asked


def _judge_name(name: str, typed: Any) -> None:
    if ":" not in typed and not (name == "selection" and forges(typed)):
        choose(typed, NAMES[name], name)


def _judge(asked: axes.Experiment) -> None:
    """Refuse what would do nothing, but where only the data tell how many workers there are."""
    with axes.telling(asked.name):
        for own in (asked.axes, *asked.also):
            if "workers_from" not in own:
                cells = map(_of_one_rule, contradictions.combinations(own, asked.seeds[0]))
                placed = [contradictions.placed(cell, own) for cell in cells]
                contradictions.refuse(own, placed, contradictions.distinct(placed))


def _of_one_rule(cell: Cell) -> Cell:
    """What does nothing with the optimal flips does nothing with any of the rules that "strongest" stands for."""
    if cell.threat.selection != rules.STRONGEST:
        return cell
    return dataclasses.replace(cell, threat=dataclasses.replace(cell.threat, selection="optimal"))


def _judged(given: Mapping[str, Any]) -> list[type]:
    """What can be judged by itself; how many workers there are may only be found out from the data."""
    return [part for part in PARTS if not (part is Federation and given.get("workers_from"))]


def _judge_messages(selection: Any, federated: bool) -> None:
    """Refuse to forge or to imitate messages where nobody sends any, and an attack that is none to imitate."""
    kind, _, attack = str(selection).partition(":")
    does = {rules.IMITATE: "imitates"}.get(kind, "forges" if forges(selection) else "")
    if attack:
        imitated(selection)
    if does and not federated:
        raise TurncoatError(
            f"selection {selection!r} {does} workers' messages: give workers and hostile, such as"
            " workers = 10 and hostile = 2"
        )


def nobody(given: Mapping[str, Any]) -> str:
    """Why nothing is attacked."""
    if given.get("workers") or given.get("workers_from"):
        return "no worker is hostile, so nothing is attacked; type for example --hostile 2"
    return "write_access is 0, so nothing is attacked; type for example --write-access 0.25"
