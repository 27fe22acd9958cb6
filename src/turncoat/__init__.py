"""turncoat: how much harm can label flips alone do to a model's training, and what stops them?"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turncoat.attack.flipped_labels import FlippedLabels
    from turncoat.attack.worst_flips import Flips, worst_flips
    from turncoat.data import load
    from turncoat.data.dataset import Dataset, from_arrays
    from turncoat.errors import TurncoatError
    from turncoat.federation.setting import Federation
    from turncoat.threat import Threat
    from turncoat.training.engine import train
    from turncoat.training.recipe import Recipe
    from turncoat.training.results import Results

__version__ = "0.1.0"

__all__ = [
    "Dataset",
    "Federation",
    "FlippedLabels",
    "Flips",
    "Recipe",
    "Results",
    "Threat",
    "TurncoatError",
    "from_arrays",
    "load",
    "train",
    "worst_flips",
]

_HOMES = {
    "Dataset": "turncoat.data.dataset",
    "Federation": "turncoat.federation.setting",
    "FlippedLabels": "turncoat.attack.flipped_labels",
    "Flips": "turncoat.attack.worst_flips",
    "Recipe": "turncoat.training.recipe",
    "Results": "turncoat.training.results",
    "Threat": "turncoat.threat",
    "TurncoatError": "turncoat.errors",
    "from_arrays": "turncoat.data.dataset",
    "load": "turncoat.data",
    "train": "turncoat.training.engine",
    "worst_flips": "turncoat.attack.worst_flips",
}


def __getattr__(name: str) -> Any:
    # names are imported when first used, so that `turncoat --help` does not wait for torch
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
