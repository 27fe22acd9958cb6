"""What flips do to the objective in the mode in which they are exact, and in the one in which steps are taken."""

import warnings

import numpy as np

from turncoat.analysis.estimate import Estimate, estimate
from turncoat.analysis.results import Results
from turncoat.threat import Threat

CURVES_OF = {
    "evaluation": ("objective_before", "objective_after"),
    "training": ("objective_before_in_training", "objective_after_in_training"),
}


def objectives(results: Results, threat: Threat) -> dict[str, tuple[Estimate, Estimate]]:
    """By mode the objective before and after a threat's flips: over seeds, of the mean over each run's rounds.

    NaN where no round was measured, as of models that have one mode.
    """
    runs = dict(results.by_threat()).get(threat, [])

    def over_seeds(name: str) -> Estimate:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of a run without a round
            return estimate(np.nanmean(run.curve(name)) for run in runs)

    return {mode: (over_seeds(before), over_seeds(after)) for mode, (before, after) in CURVES_OF.items()}
