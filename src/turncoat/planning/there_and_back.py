"""One round of the search: there, by the training that a course is, and back."""

from jaxtyping import Float
from torch import Tensor

from turncoat.planning import by_messages, costates
from turncoat.planning.by_messages import CrowdCourse
from turncoat.planning.costates import Return
from turncoat.planning.course import Course

AnyCourse = Course | CrowdCourse


def way_back(course: AnyCourse, soft: Float[Tensor, "phases n c r"], legs: int, turn: int) -> Return:
    """What each label is worth over the training, with so many legs a phase; ``turn`` is the round of the search."""
    if isinstance(course, CrowdCourse):
        return by_messages.way_back(course, soft, turn)
    return costates.way_back(course, soft, legs)


def outcome(course: AnyCourse, soft: Float[Tensor, "phases n c r"]) -> Float[Tensor, " r"]:
    """The objective, as plans are judged, of the training on these labels."""
    if isinstance(course, CrowdCourse):
        return by_messages.outcome(course, soft)
    return costates.outcome(course, soft)
