"""What can be refused before anything heavy is imported and any data is read: PyTorch alone takes seconds."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from turncoat import defence
from turncoat.cli.options import PARTS
from turncoat.errors import TurncoatError, choose
from turncoat.federation.federation import Federation
from turncoat.fields import descriptions

BESIDE = ("global_budget", "seeds", "device", "also")  # keys of an experiment file that are no fields
FORGED = ("gaussian", "inner_product", "little_is_enough", "mimic", "min_max", "sign_flip")
NAMES = {
    "model": ("MODULE:CALLABLE", "logistic", "mlp", "mlp:HIDDEN", "vit", "vit-base", "vit-small", "vit-tiny"),
    "scale": ("raw", "standard", "unit"),
    "selection": (
        *("MODULE:CALLABLE", "all_to_one", "as_printed", "cyclic", "highest_loss", "last_layer"),
        *("class_by_class", "imitate:ATTACK", "least_likely", "mirror", "optimal", "planned", "random"),
        *("source_to_target", "strongest"),
    ),
}
IMITATED = ("inner_product", "little_is_enough", "min_max", "sign_flip")
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
    for name, known in NAMES.items():
        typed = given.get(name, known[0])
        if ":" not in typed and not (name == "selection" and typed in FORGED):
            choose(typed, known, name)
    federated = bool(given.get("workers") or given.get("workers_from"))
    defence.refuse(
        given.get("defence", defence.NONE), federated, given.get("schedule", ""), given.get("patience", 0)
    )
    _judge_messages(given.get("selection"), federated)
    attackers = given.get("hostile") if federated else given.get("write_access")
    if not attackers:
        raise TurncoatError(nobody(given))


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


def refuse_file(path: str) -> None:
    """Accept the keys of an experiment file, and values that stand for themselves; what else it may be is not told.

    Raises:
        TurncoatError: for an unknown key, or such a value that is out of range.
    """
    try:
        keys = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):  # who reads it tells what it is
        return
    known = {name for part in PARTS for name in descriptions(part)} | {*BESIDE}
    try:
        for name in keys:
            choose(name, known, "key")
        for part in _judged(keys):
            own = {name: value for name, value in keys.items() if name in descriptions(part)}
            if not any(isinstance(value, list | dict) for value in own.values()):
                part(**own)
    except TurncoatError as error:
        raise TurncoatError(f"{Path(path).name}: {error}") from error


def _judged(given: Mapping[str, Any]) -> list[type]:
    """What can be judged by itself; how many workers there are may only be found out from the data."""
    return [part for part in PARTS if not (part is Federation and given.get("workers_from"))]


def _judge_messages(selection: Any, federated: bool) -> None:
    """Refuse to forge or to imitate messages where nobody sends any, and an attack that is none to imitate."""
    kind, _, attack = str(selection).partition(":")
    does = {"imitate": "imitates"}.get(kind, "forges" if selection in FORGED else "")
    if kind == "imitate" and attack not in FORGED:
        choose(attack, IMITATED, "attack to imitate")
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
