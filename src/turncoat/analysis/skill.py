"""Whether the clean model learned anything: harm to one that did not says nothing."""

from collections.abc import Iterable

from turncoat.analysis.estimate import estimate

NO_SKILL = "no-skill"
ROUNDING = 1e-6  # of accuracies that were kept as float32


def lacks_skill(clean: Iterable[float], chance: float) -> bool:
    """Whether the mean of clean accuracies, one a seed, is no better than always answering the most frequent class."""
    return estimate(clean).mean <= chance + ROUNDING
