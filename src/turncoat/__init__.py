"""turncoat: how much harm can label flips alone do to a model's training, and what stops them?"""

from turncoat.data import load
from turncoat.data.dataset import Dataset, from_arrays
from turncoat.errors import TurncoatError
from turncoat.threat import Threat
from turncoat.training.engine import train
from turncoat.training.recipe import Recipe
from turncoat.training.results import Results

__version__ = "0.1.0"

__all__ = ["Dataset", "Recipe", "Results", "Threat", "TurncoatError", "from_arrays", "load", "train"]
