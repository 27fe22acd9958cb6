"""What can be refused before anything heavy is imported and any data is read: PyTorch alone takes seconds."""

from collections.abc import Mapping
from typing import Any

from turncoat.cli.options import PARTS
from turncoat.errors import TurncoatError, choose
from turncoat.federation.federation import Federation
from turncoat.fields import descriptions

FORGED = ("gaussian", "inner_product", "little_is_enough", "mimic", "min_max", "sign_flip")
NAMES = {
    "model": ("MODULE:CALLABLE", "logistic", "mlp", "mlp:HIDDEN", "vit", "vit-base", "vit-small", "vit-tiny"),
    "scale": ("raw", "standard", "unit"),
    "selection": (
        *("MODULE:CALLABLE", "all_to_one", "as_printed", "cyclic", "highest_loss", "last_layer"),
        *("least_likely", "mirror", "optimal", "random", "source_to_target"),
    ),
}
"""What may be typed; the tests hold this to the tables that the names are looked up in."""


def refuse(given: Mapping[str, Any]) -> None:
    """Accept what was typed, as far as it can be judged by itself.

    Raises:
        TurncoatError: for a value out of range, an unknown name, options that contradict each other, or no attacker.
    """
    for part in PARTS:
        own = {name: value for name, value in given.items() if name in descriptions(part)}
        if part is Federation and own.get("workers"):
            own = {name: value for name, value in own.items() if name not in ("aggregator", "partition")}
        part(**own)
    for name, known in NAMES.items():
        typed = given.get(name, known[0])
        if ":" not in typed and not (name == "selection" and typed in FORGED):
            choose(typed, known, name)
    if not given.get("workers") and given.get("selection") in FORGED:
        raise TurncoatError(
            f"selection {given['selection']!r} forges workers' messages: give workers and hostile, such as"
            " workers = 10 and hostile = 2"
        )
    attackers = given.get("hostile") if given.get("workers") else given.get("write_access")
    if not attackers:
        raise TurncoatError(nobody(given))


def nobody(given: Mapping[str, Any]) -> str:
    """Why nothing is attacked."""
    if given.get("workers"):
        return "no worker is hostile, so nothing is attacked; type for example --hostile 2"
    return "write_access is 0, so nothing is attacked; type for example --write-access 0.25"
