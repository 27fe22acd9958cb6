"""The attack: a direction in parameter space, what each label is worth along it, which flips to spend.

Read in this order: ``direction`` → ``models.scores`` → ``selection``; ``worst_flips`` is all three for one's own loop.
"""

from typing import TYPE_CHECKING

from turncoat import lazy

if TYPE_CHECKING:
    from turncoat.attack.selection import SELECTIONS, Selection, flip_labels
    from turncoat.direction import targeted, untargeted
    from turncoat.models.scores import label_scores

__all__ = ["SELECTIONS", "Selection", "flip_labels", "label_scores", "targeted", "untargeted"]

_HOMES = {
    "SELECTIONS": "selection",
    "Selection": "selection",
    "flip_labels": "selection",
    "label_scores": "turncoat.models.scores",
    "targeted": "turncoat.direction",
    "untargeted": "turncoat.direction",
}

__getattr__ = lazy.names(__name__, _HOMES)
