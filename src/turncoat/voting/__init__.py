"""Votes of models that have rows of their own: how rows are dealt, who wins, and how many flips a win survives.

Everything here is counting: a flip of one label changes the models that read its part and no other, and what a
changed model answers is taken for the worst. No function looks at what the models are.
"""

from turncoat.voting.dealing import circulant, deal
from turncoat.voting.finite_aggregation import finite_aggregation
from turncoat.voting.plurality import Election, counts, plurality
from turncoat.voting.run_off import run_off

__all__ = ["Election", "circulant", "counts", "deal", "finite_aggregation", "plurality", "run_off"]
