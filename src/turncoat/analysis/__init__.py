"""From runs to figures over seeds: what a run reached, pairs of the same seed, estimates with intervals."""
