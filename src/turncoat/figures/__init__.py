"""Pictures: one function each, from a frame of curves to a matplotlib figure, and to a file."""

import dataclasses
import functools
import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from turncoat import errors
from turncoat.analysis.reached import STATISTICS
from turncoat.figures import cells, files, style
from turncoat.figures.budget import budget
from turncoat.figures.certificate import Reached, certificate, certified_anew
from turncoat.figures.defences import defences
from turncoat.figures.difference import difference
from turncoat.figures.epochs import epochs
from turncoat.figures.harm import harm
from turncoat.figures.heatmap import heatmap
from turncoat.figures.matrix import matrix
from turncoat.figures.plan import Drawn, plan, planned_anew
from turncoat.figures.reach import Near, near_anew, reach
from turncoat.figures.rules import rules
from turncoat.figures.spread import spread
from turncoat.figures.visibility import visibility
from turncoat.writing import check_picture

__all__ = ["FIGURES", "FigureSpec", "caption_of", "draw"]


@dataclasses.dataclass(frozen=True)
class FigureSpec:
    """A kind of picture: ``draw(frame, **choices)`` makes the figure, ``help`` says in a line what it shows.

    ``reads`` says what: the frame of "curves" over epochs, or of the "visibility" of a federation's messages. Where
    ``make(curves, where, progress, **choices)`` is given, ``draw`` shows what that makes anew of the curves' cells.
    """

    draw: Callable[..., Figure]
    help: str
    reads: str = "curves"
    make: Callable[..., Any] | None = None

    @property
    def choices(self) -> dict[str, Any]:
        """The choices that ``draw`` takes, and their defaults."""
        return _keywords(self.draw)

    @property
    def makes(self) -> dict[str, Any]:
        """The choices that ``make`` takes, and their defaults."""
        return {} if self.make is None else _keywords(self.make)


def _keywords(function: Callable[..., Any]) -> dict[str, Any]:
    found = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in found if p.kind is p.KEYWORD_ONLY}


def _styled(function: Callable[..., Figure]) -> Callable[..., Figure]:
    @functools.wraps(function)
    def styled(*args: Any, **choices: Any) -> Figure:
        with style.applied():
            return function(*args, **choices)

    return styled


FIGURES: dict[str, FigureSpec] = {
    "budget": FigureSpec(_styled(budget), "accuracy over the global budget k·b, one line per write access"),
    "heatmap": FigureSpec(_styled(heatmap), "accuracy over write access k and local budget b"),
    "difference": FigureSpec(
        _styled(difference), "untargeted minus targeted, and the attack minus random flips, over k and b"
    ),
    "epochs": FigureSpec(_styled(epochs), "accuracy over epochs for pairs (k, b) of equal global budget"),
    "spread": FigureSpec(_styled(spread), "standard deviation over seeds, by write access or global budget"),
    "matrix": FigureSpec(_styled(matrix), "attack by aggregator, worst cases marked, clean run beside"),
    "defences": FigureSpec(
        _styled(defences),
        "defence by attack, worst cases marked, with the price of each defence and the clean run",
    ),
    "rules": FigureSpec(_styled(rules), "every rule at every budget, the one that costs most marked"),
    "certificate": FigureSpec(
        _styled(certificate),
        "accuracy that is certified for the data of a sweep, and accuracy that attacks reach, over flips",
        make=certified_anew,
    ),
    "reach": FigureSpec(
        _styled(reach),
        "how near flips come to gradient attacks over the local budget, and the harm of both",
        make=near_anew,
    ),
    "visibility": FigureSpec(
        _styled(visibility), "gradient norms and cosines of hostile and honest workers", reads="visibility"
    ),
    "plan": FigureSpec(
        _styled(plan),
        "a planned attack: which class goes to which, the search, the images that are flipped most",
        make=planned_anew,
    ),
    "harm": FigureSpec(_styled(harm), "harm of the attack against harm of random flips at the same budget"),
}


def draw(
    name: str,
    curves: pd.DataFrame | Drawn | Near | Reached,
    path: str | os.PathLike[str],
    *,
    metric: str = "accuracy",
    statistic: str = "tail",
    where: Mapping[str, object] | None = None,
    **choices: Any,
) -> None:
    """Draw the picture ``name`` and write it to ``path``, which ends in .png, .svg or .pdf.

    ``where`` keeps the rows whose columns have these values; a plan has been chosen by then. Other choices are the
    picture's own.

    Raises:
        TurncoatError: for an unknown picture or choice, a choice that would do nothing, rows that cannot be
            drawn, or a file that cannot be written.
    """
    asked = check(name, path, metric=metric, statistic=statistic, where=where, **choices)
    files.save(FIGURES[name].draw(curves, **asked), path)


def check(
    name: str,
    path: str | os.PathLike[str],
    *,
    metric: str = "accuracy",
    statistic: str = "tail",
    where: Mapping[str, object] | None = None,
    **choices: Any,
) -> dict[str, Any]:
    """What ``draw`` hands to the picture's own function, judged before anything is made.

    Raises:
        TurncoatError: as ``draw`` does, but for what only the rows tell.
    """
    spec = FIGURES[errors.choose(name, FIGURES, "figure")]
    check_picture(path)
    errors.choose(metric, cells.METRICS, "metric")
    errors.choose(statistic, STATISTICS, "statistic")
    for choice, value in choices.items():
        errors.choose(choice, spec.choices, f"choice for figure {name!r}")
        if isinstance(spec.choices[choice], bool) and not isinstance(value, bool):
            raise errors.TurncoatError(f"{choice} is {value!r}, but must be true or false")
    for choice, value, usual in (("metric", metric, "accuracy"), ("statistic", statistic, "tail")):
        if choice in spec.choices:
            choices[choice] = value
        elif value != usual:
            raise errors.TurncoatError(f"figure {name!r} has no {choice}; leave {choice}={value} out")
    if "where" in spec.choices:
        choices["where"] = where
    elif where:
        raise errors.TurncoatError(f"figure {name!r} has no rows to keep; leave where out")
    return choices


def caption_of(figure: Figure) -> str:
    """The caption of a picture made here, whether or not it stands in the picture."""
    return str(figure.get_label())
