"""A federation: workers send messages each round, a server aggregates them."""

from turncoat.federation.aggregators import AGGREGATORS, PREAGGREGATORS, Aggregator, aggregator

__all__ = ["AGGREGATORS", "PREAGGREGATORS", "Aggregator", "aggregator"]
