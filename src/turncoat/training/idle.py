"""What does nothing: fields of a threat or a recipe that their setting makes idle.

One account of it for the command line and experiment files, which refuse it before PyTorch is imported, and for
``train``, which warns.
"""

import dataclasses
from collections.abc import Callable

from turncoat.attack.names import is_blind, is_planned
from turncoat.defence import guards
from turncoat.federation.federation import Federation
from turncoat.federation.names import forges, imitated
from turncoat.fields import descriptions
from turncoat.recipe import Recipe
from turncoat.threat import Threat

When = Callable[[Threat, Recipe, Federation], bool]


@dataclasses.dataclass(frozen=True)
class Idle:
    """Fields that do nothing where ``when`` holds, and why."""

    fields: tuple[str, ...]
    when: When
    because: str


def _forges(threat: Threat, recipe: Recipe, federation: Federation) -> bool:
    return forges(threat.selection)


def _blind(threat: Threat, recipe: Recipe, federation: Federation) -> bool:
    if is_planned(threat.selection) or imitated(threat.selection):
        return False
    return forges(threat.selection) or is_blind(threat.selection)


def _sees_through(threat: Threat, recipe: Recipe, federation: Federation) -> bool:
    """Whether the optimal flips are exact for the server's step as it is."""
    return recipe.optimizer == "sgd" and federation.aggregator == "mean" and not guards(recipe.defence)


IDLE = (
    Idle(
        tuple(descriptions(Threat)),
        lambda threat, recipe, federation: threat.is_clean and not federation.workers,
        "write_access is 0, so there is no attacker; set write_access above 0",
    ),
    Idle(
        tuple(descriptions(Threat)),
        lambda threat, recipe, federation: threat.is_clean,
        "no worker is hostile, so there is no attacker; set hostile to 1 or more",
    ),
    Idle(
        ("local_budget", "schedule"),
        _forges,
        "selection {selection!r} forges messages and flips no labels; set selection to 'optimal'",
    ),
    Idle(
        ("goal", "knowledge", "aware"),
        _blind,
        "selection {selection!r} looks at nothing; set selection to 'optimal'",
    ),
    Idle(
        ("goal",),
        lambda threat, recipe, federation: imitated(threat.selection) is not None,
        "selection {selection!r} wants what the attack wants that it imitates; set selection to 'optimal'",
    ),
    Idle(
        ("placement", "knowledge", "aware"),
        lambda threat, recipe, federation: threat.schedule == "once",
        "with schedule 'once' the flips are chosen before training; set schedule to 'epoch'",
    ),
    Idle(
        ("last_rounds",),
        lambda threat, recipe, federation: threat.schedule == "once",
        "with schedule 'once' the flips stay from the first epoch to the last; set schedule to 'epoch'",
    ),
    Idle(
        ("last_rounds",),
        lambda threat, recipe, federation: threat.last_rounds >= recipe.epochs,
        "the training has no more epochs; set last_rounds to fewer",
    ),
    Idle(
        ("aware",),
        lambda threat, recipe, federation: is_planned(threat.selection) and federation.aggregator == "mean",
        "selection 'planned' looks through a server's aggregator alone, and that is the mean; give workers and another"
        " aggregator, or set selection to 'optimal'",
    ),
    Idle(
        ("aware",),
        _sees_through,
        "optimizer 'sgd' steps along the mean gradient itself; set optimizer to 'adam', or give workers and an"
        " aggregator other than 'mean', or a defence that drops labels, such as 'knn:10'",
    ),
    Idle(
        ("held_out",),
        lambda threat, recipe, federation: not recipe.patience,
        "patience is 0, so nothing is held out; set patience above 0",
    ),
)


def idle_fields(threat: Threat, recipe: Recipe, federation: Federation) -> dict[str, str]:
    """Every field that does nothing here, and why."""
    found: dict[str, str] = {}
    for idle in IDLE:
        if idle.when(threat, recipe, federation):
            found |= dict.fromkeys(
                (name for name in idle.fields if name not in found),
                idle.because.format(selection=threat.selection),
            )
    return found
