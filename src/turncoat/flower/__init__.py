"""Attacks and rules in Flower: a hostile client in an app that is there already, and a server that withstands it.

Needs ``pip install 'turncoat[flower]'``; nothing of Flower is imported before one of these names is used.
"""

from typing import TYPE_CHECKING, Any

from turncoat import lazy
from turncoat.errors import TurncoatError

if TYPE_CHECKING:
    from turncoat.flower.client import hostile
    from turncoat.flower.handover import flipped
    from turncoat.flower.recorder import Recorder
    from turncoat.flower.strategy import RobustStrategy

__all__ = ["Recorder", "RobustStrategy", "flipped", "hostile"]

_HOMES = {
    "Recorder": "recorder",
    "RobustStrategy": "strategy",
    "flipped": "handover",
    "hostile": "client",
}
_found = lazy.names(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    try:
        return _found(name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "flwr":
            raise
        raise TurncoatError(
            f"turncoat.flower.{name} needs Flower, which is not installed here: pip install 'turncoat[flower]'"
        ) from error
