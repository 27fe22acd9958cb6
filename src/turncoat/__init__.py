"""turncoat: how much harm can label flips alone do to a model's training, and what stops them?"""

from typing import TYPE_CHECKING

from turncoat import lazy

if TYPE_CHECKING:
    from turncoat.analysis.planned import plan
    from turncoat.analysis.results import Results
    from turncoat.analysis.train import train
    from turncoat.attack.flipped_labels import FlippedLabels
    from turncoat.attack.worst_flips import Flips, worst_flips
    from turncoat.auditing.audit import Audit, audit
    from turncoat.certificates.certificate import Certificate
    from turncoat.certificates.certify import certify
    from turncoat.data import load
    from turncoat.data.dataset import Dataset, from_arrays
    from turncoat.defence import DEFENCES
    from turncoat.errors import TurncoatError, TurncoatWarning
    from turncoat.federation.federation import Federation
    from turncoat.planning.plan import Plan
    from turncoat.recipe import Recipe
    from turncoat.threat import Threat

__version__ = "0.2.0"

__all__ = [
    "DEFENCES",
    "Audit",
    "Certificate",
    "Dataset",
    "Federation",
    "FlippedLabels",
    "Flips",
    "Plan",
    "Recipe",
    "Results",
    "Threat",
    "TurncoatError",
    "TurncoatWarning",
    "audit",
    "certify",
    "from_arrays",
    "load",
    "plan",
    "train",
    "worst_flips",
]

_HOMES = {
    "Certificate": "certificates.certificate",
    "Audit": "auditing.audit",
    "DEFENCES": "defence",
    "Dataset": "data.dataset",
    "Federation": "federation.federation",
    "FlippedLabels": "attack.flipped_labels",
    "Flips": "attack.worst_flips",
    "Plan": "planning.plan",
    "Recipe": "recipe",
    "Results": "analysis.results",
    "Threat": "threat",
    "TurncoatError": "errors",
    "TurncoatWarning": "errors",
    "certify": "certificates.certify",
    "audit": "auditing.audit",
    "from_arrays": "data.dataset",
    "load": "data",
    "plan": "analysis.planned",
    "train": "analysis.train",
    "worst_flips": "attack.worst_flips",
}

__getattr__ = lazy.names(__name__, _HOMES)
