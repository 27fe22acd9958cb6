"""A vote that can be held on any labels: the parts, their models, and the rule that counts."""

import dataclasses
from collections.abc import Callable

import torch
from jaxtyping import Int
from torch import Tensor

from turncoat.certificates.ensemble import Ballots, Ensemble, Progress, ballots, ensemble
from turncoat.models.stack import Model
from turncoat.recipe import Recipe
from turncoat.voting import Election, circulant, counts, deal, finite_aggregation, plurality, run_off

SPREAD = 4  # models that read a part, with finite_aggregation


@dataclasses.dataclass(frozen=True)
class Voters:
    """Everything but the labels, which alone an attacker can change."""

    ensemble: Ensemble
    x_test: Tensor
    groups: tuple[Int[Tensor, " _"], ...]  # the rows of each part; what a flip changes is one of them
    readers: Int[Tensor, "p s"]  # the models that read each part
    rule: str


def _plurality(found: Ballots, readers: Tensor, classes: int) -> Election:
    return plurality(found.first, classes)


def _finite(found: Ballots, readers: Tensor, classes: int) -> Election:
    return finite_aggregation(found.first, readers, classes)


def _run_off(found: Ballots, readers: Tensor, classes: int) -> Election:
    assert found.preferred is not None
    return run_off(counts(found.first, classes), found.preferred)


RULES: dict[str, Callable[[Ballots, Tensor, int], Election]] = {
    "partitions": _plurality,
    "finite_aggregation": _finite,
    "run_off": _run_off,
}


def voters(
    model: Model,
    rule: str,
    rows: Tensor,
    seen: tuple[Tensor, Tensor],
    partitions: int,
    spread: int,
    recipe: Recipe | None,
    seed: int,
) -> Voters:
    """Deal ``rows``, the data's own features, and let models read what they are ``seen`` as, training and test.

    With ``finite_aggregation`` there are ``partitions`` times ``spread`` parts and as many models, each of which
    reads ``spread`` parts: as many rows as a part has with the other rules.

    Raises:
        TurncoatError: if there are too few different rows.
    """
    readers_each = spread if rule == "finite_aggregation" else 1
    groups = tuple(deal(rows, partitions * readers_each))
    readers = circulant(len(groups), readers_each, seed)
    if readers_each == 1:
        readers = torch.arange(len(groups)).unsqueeze(1)
    read: list[list[Tensor]] = [[] for _ in groups]
    for part, models in enumerate(readers.tolist()):
        for one in models:
            read[one].append(groups[part])
    own = ensemble(model, seen[0], [torch.cat(parts) for parts in read], recipe, seed)
    return Voters(own, model.prepare(seen[1]), groups, readers, rule)


def elect(of: Voters, labels: Int[Tensor, " n"], progress: Progress | None = None) -> Election:
    """Train all models on these labels, and count."""
    found = ballots(of.ensemble, labels, of.x_test, of.rule == "run_off", progress)
    return RULES[of.rule](found, of.readers, of.ensemble.model.classes)
