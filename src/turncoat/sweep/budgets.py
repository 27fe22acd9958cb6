"""Pairs of write access and local budget with a given product."""

from typing import Any

from turncoat import errors
from turncoat.errors import TurncoatError

BUDGET = "global_budget"
DIGITS = 9  # of a local budget: 0.3 / 0.4 is to be the 0.75 that a file may name elsewhere


def derived(threats: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keys of threats, with the local budget in place of ``global_budget``.

    A pair that needs a local budget above 1 is left out.

    Raises:
        TurncoatError: without write access, with a local budget too, or for a value of which no pair is left.
    """
    found = []
    for keys in threats:
        if "write_access" not in keys:
            raise TurncoatError(
                f"{BUDGET} is write_access times local_budget: give write_access too, such as"
                " write_access = [0.25, 0.5, 1.0]"
            )
        if "local_budget" in keys:
            raise TurncoatError(f"{BUDGET} and local_budget say the same thing twice: leave one of them out")
        share = errors.share(keys[BUDGET], BUDGET)
        access = errors.share(keys["write_access"], "write_access")
        if share == 0 or access == 0:
            raise TurncoatError(f"{BUDGET} needs values above 0, of its own and of write_access")
        if round(share / access, DIGITS) <= 1:
            rest = {name: value for name, value in keys.items() if name != BUDGET}
            found.append(rest | {"local_budget": round(share / access, DIGITS)})
    _refuse_lost(threats, found)
    return found


def _refuse_lost(threats: list[dict[str, Any]], found: list[dict[str, Any]]) -> None:
    """A value that is in no pair would do nothing."""
    budgets = {round(keys["write_access"] * keys["local_budget"], DIGITS - 3) for keys in found}
    accesses = {keys["write_access"] for keys in found}
    for keys in threats:
        share, access = keys[BUDGET], keys["write_access"]
        if round(share, DIGITS - 3) not in budgets:
            raise TurncoatError(
                f"{BUDGET} {share} is above every write_access, so local_budget would be above 1: add a"
                f" write_access of {share} or more"
            )
        if access not in accesses:
            raise TurncoatError(
                f"write_access {access} is below every {BUDGET}, so local_budget would be above 1: leave it out"
            )
