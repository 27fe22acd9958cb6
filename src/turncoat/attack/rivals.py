"""Other label attacks by the same contract: what a researcher compares the optimal flips with."""

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


PARAMETRIC: dict[str, tuple[Callable[..., Propose], int]] = {
    "source_to_target": (source_to_target, 2),
    "all_to_one": (all_to_one, 1),
}
"""Rules named with classes, such as ``source_to_target:7:1``: the factory, and how many classes it takes."""


def parametric(name: str) -> Propose | None:
    """The rule of a name such as ``all_to_one:3``; None if the name is of another form.

    Raises:
        TurncoatError: if the classes are missing or are not whole numbers.
    """
    kind, *numbers = name.split(":")
    if kind not in PARAMETRIC:
        return None
    factory, count = PARAMETRIC[kind]
    if len(numbers) != count or not all(part.isdecimal() for part in numbers):
        example = ":".join([kind, *("7", "1")[:count]])
        raise TurncoatError(f"selection {name!r} takes {count} class number(s), such as {example!r}")
    classes = [int(part) for part in numbers]
    if len(set(classes)) < len(classes):
        raise TurncoatError(f"selection {name!r} relabels a class as itself: give two different classes")
    return factory(*classes)


def _check_classes(classes: int, *named: int) -> None:
    if max(named) >= classes:
        raise TurncoatError(
            f"the selection names class {max(named)}, but the data have classes 0 … {classes - 1}"
        )
