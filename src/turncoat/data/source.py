"""What a loader hands over: the arrays as they were read, before any scale."""

from typing import NamedTuple

import numpy as np


class Source(NamedTuple):
    """Features and labels as read, in whatever number type they came in.

    ``span`` is the largest value a feature can take where the format fixes it (255 for pixels in bytes),
    else None. ``shape`` is one example's shape before flattening, channel first.
    """

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: int
    shape: tuple[int, ...]
    span: float | None = None
    class_names: tuple[str, ...] = ()


def only(source: Source, kept: tuple[int, ...]) -> Source:
    """Return the examples of the classes in ``kept`` alone, relabelled 0, 1, … in that order."""
    order = np.full(source.classes, -1, dtype=np.int64)
    order[list(kept)] = np.arange(len(kept))
    y, y_test = order[source.y], order[source.y_test]
    names = tuple(source.class_names[label] for label in kept) if source.class_names else ()
    return source._replace(
        x=source.x[y >= 0],
        y=y[y >= 0],
        x_test=source.x_test[y_test >= 0],
        y_test=y_test[y_test >= 0],
        classes=len(kept),
        class_names=names,
    )
