"""Other label attacks by the same contract: what a researcher compares the optimal flips with."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.errors import TurncoatError

Proposal = tuple[Tensor, Tensor]
Propose = Callable[[Tensor, Tensor, torch.Generator], Proposal]


def at_random(
    scores: Tensor, labels: Int[Tensor, "n *r"], generator: torch.Generator
) -> Float[Tensor, "n *r"]:
    """A random order of the examples; one draw serves all trailing axes."""
    draw = torch.rand(len(scores), generator=generator).to(scores.device)
    return draw.view(-1, *(1,) * (labels.ndim - 1)).expand_as(labels)


def propose_mirror(
    scores: Float[Tensor, "n c *r"], labels: Int[Tensor, "n *r"], generator: torch.Generator
) -> Proposal:
    """Random examples, label y → C-1-y; the middle class of an odd number stays and costs no budget."""
    mirrored = scores.shape[1] - 1 - labels
    return mirrored, at_random(scores, labels, generator).masked_fill(mirrored == labels, torch.inf)


def propose_least_likely(
    scores: Float[Tensor, "n c *r"], labels: Int[Tensor, "n *r"], generator: torch.Generator
) -> Proposal:
    """Random examples, each with the class that the model finds least likely (``scores`` are its logits)."""
    least = scores.min(1).indices
    return least, at_random(scores, labels, generator).masked_fill(least == labels, torch.inf)


def propose_highest_loss(
    scores: Float[Tensor, "n c *r"], labels: Int[Tensor, "n *r"], generator: torch.Generator
) -> Proposal:
    """The least likely class where the model would lose most by it (``scores`` are its logits)."""
    lowest, least = scores.min(1)
    return least, (lowest - scores.logsumexp(1)).masked_fill(least == labels, torch.inf)


def source_to_target(source: int, target: int) -> Propose:
    """Random examples of class ``source``, relabelled ``target``."""

    def propose(scores: Tensor, labels: Tensor, generator: torch.Generator) -> Proposal:
        _check_classes(scores.shape[1], source, target)
        priority = at_random(scores, labels, generator).masked_fill(labels != source, torch.inf)
        return torch.full_like(labels, target), priority

    return propose


def all_to_one(target: int) -> Propose:
    """Random examples of the other classes, relabelled ``target``."""

    def propose(scores: Tensor, labels: Tensor, generator: torch.Generator) -> Proposal:
        _check_classes(scores.shape[1], target)
        priority = at_random(scores, labels, generator).masked_fill(labels == target, torch.inf)
        return torch.full_like(labels, target), priority

    return propose


SHARE, TARGET = 0.6, 0  # of class_by_class, where its name gives none


def class_by_class(share: float, target: int, write_access: float) -> Propose:
    """So much of one class after another relabelled as ``target``, until the budget is spent.

    It knows nothing of the model: what every clever attack must beat. The share is of all examples of a class, or
    of as many as may be written to; what budget is left then goes to the others, again class by class.
    """

    def propose(scores: Tensor, labels: Tensor, generator: torch.Generator) -> Proposal:
        classes = scores.shape[1]
        _check_classes(classes, target)
        draw = at_random(scores, labels, generator)
        rank = torch.where(labels == target, classes - 1, labels - (labels > target).to(labels.dtype))
        first = min(1.0, share / write_access) if write_access else 1.0
        priority = rank + draw + classes * (draw >= first)
        return torch.where(labels == target, (target + 1) % classes, target), priority

    return propose


def _named_classes(factory: Callable[..., Propose], count: int) -> "Parser":
    def parse(name: str, numbers: list[str], write_access: float) -> Propose:
        if len(numbers) != count or not all(part.isdecimal() for part in numbers):
            example = ":".join([name.partition(":")[0], *("7", "1")[:count]])
            raise TurncoatError(f"selection {name!r} takes {count} class number(s), such as {example!r}")
        classes = [int(part) for part in numbers]
        if len(set(classes)) < len(classes):
            raise TurncoatError(f"selection {name!r} relabels a class as itself: give two different classes")
        return factory(*classes)

    return parse


def _class_by_class(name: str, numbers: list[str], write_access: float) -> Propose:
    share, target, *surplus = [*numbers, *(str(SHARE), str(TARGET))[len(numbers) :]]
    try:
        part = float(share)
    except ValueError:
        part = math.nan
    if surplus or not 0 < part <= 1 or not target.isdecimal():
        raise TurncoatError(
            f"selection {name!r} takes a share above 0 and up to 1, and a class number, such as"
            f" 'class_by_class:{SHARE}:{TARGET}'"
        )
    return class_by_class(part, int(target), write_access)


Parser = Callable[[str, list[str], float], Propose]

PARAMETRIC: dict[str, Parser] = {
    "source_to_target": _named_classes(source_to_target, 2),
    "all_to_one": _named_classes(all_to_one, 1),
    "class_by_class": _class_by_class,
}
"""Rules named with numbers, such as ``source_to_target:7:1``, each with what makes a rule of such a name."""


def parametric(name: str, write_access: float) -> Propose | None:
    """The rule of a name such as ``all_to_one:3`` for an attacker's k; None if the name is of another form.

    Raises:
        TurncoatError: if the numbers are missing or are none.
    """
    kind, *numbers = name.split(":")
    return PARAMETRIC[kind](name, numbers, write_access) if kind in PARAMETRIC else None


def depends_on_access(selection: object) -> bool:
    """Whether what a rule proposes depends on the share of the data that may be written to."""
    return isinstance(selection, str) and selection.partition(":")[0] == "class_by_class"


def _check_classes(classes: int, *named: int) -> None:
    if max(named) >= classes:
        raise TurncoatError(
            f"the selection names class {max(named)}, but the data have classes 0 … {classes - 1}"
        )
