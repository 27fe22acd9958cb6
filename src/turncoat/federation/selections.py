"""What may stand as a threat's selection, be the data pooled or dealt out."""

from turncoat.attack.names import is_planned
from turncoat.attack.selection import find
from turncoat.federation.names import forges, imitated
from turncoat.threat import Threat


def check_selection(threat: Threat) -> None:
    """Accept a threat's selection: a callable, a label selection by name, a gradient attack, or its imitation.

    Raises:
        TurncoatError: with the nearest name if there is none of that name.
    """
    if callable(threat.selection) or is_planned(threat.selection) or forges(threat.selection):
        return
    if imitated(threat.selection):
        return
    find(threat.selection)
