"""A federation: workers send messages each round, a server aggregates them."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turncoat.federation.aggregators import AGGREGATORS, PREAGGREGATORS, Aggregator, aggregator
    from turncoat.federation.attacks import GRADIENT_ATTACKS
    from turncoat.federation.setting import Federation

__all__ = [
    "AGGREGATORS",
    "GRADIENT_ATTACKS",
    "PREAGGREGATORS",
    "Aggregator",
    "Federation",
    "aggregator",
]

_HOMES = {
    "AGGREGATORS": "aggregators",
    "GRADIENT_ATTACKS": "attacks",
    "PREAGGREGATORS": "aggregators",
    "Aggregator": "aggregators",
    "Federation": "setting",
    "aggregator": "aggregators",
}


def __getattr__(name: str) -> Any:
    # imported when first used: the command line describes a federation without waiting for torch
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
