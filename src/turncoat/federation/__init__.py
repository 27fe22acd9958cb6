"""A federation: workers send messages each round, a server aggregates them."""

from typing import TYPE_CHECKING

from turncoat import lazy

if TYPE_CHECKING:
    from turncoat.federation.aggregators import AGGREGATORS, PREAGGREGATORS, Aggregator, aggregator
    from turncoat.federation.attacks import GRADIENT_ATTACKS
    from turncoat.federation.federation import Federation

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
    "Federation": "federation",
    "aggregator": "aggregators",
}

__getattr__ = lazy.names(__name__, _HOMES)
