"""How a threat reads in a federation: write access is the hostile workers' own data, placed once and for all."""

import dataclasses

from turncoat import defence, precision
from turncoat.attack.names import is_planned
from turncoat.errors import TurncoatError
from turncoat.federation.federation import Federation
from turncoat.federation.names import forges, imitated
from turncoat.recipe import Recipe
from turncoat.threat import PARTS, Threat


def placed_in(federation: Federation, threat: Threat, recipe: Recipe) -> Threat:
    """The threat with k = h/w and its workers' own shards as write access; unchanged where data are pooled.

    Raises:
        TurncoatError: if the threat names another write access, or a gradient attack has no messages to forge or
            to come near to.
    """
    if is_planned(threat.selection) and (why := why_unplanned(threat, recipe)):
        raise TurncoatError(why)
    defence.refuse(recipe.defence, bool(federation.workers), threat.schedule, recipe.patience)
    precision.refuse(recipe.precision, recipe.defence != defence.NONE, bool(federation.workers))
    if imitated(threat.selection):
        _check_imitation(threat, federation)
        if recipe.defence != defence.NONE:
            raise TurncoatError(
                f"selection {threat.selection!r} imitates messages by the residuals of cross-entropy, and defence"
                f" {recipe.defence!r} trains with another loss: leave one of them out"
            )
    if not federation.workers:
        if forges(threat.selection):
            raise TurncoatError(
                f"selection {threat.selection!r} forges workers' messages: give workers and hostile, such as"
                " workers = 10 and hostile = 2"
            )
        return threat
    if threat.schedule.startswith(PARTS):
        raise TurncoatError(
            f"schedule {threat.schedule!r} is one of pooled training: with workers set schedule to 'epoch' or 'step'"
        )
    k = federation.write_access
    if threat.write_access not in (0.0, k):
        raise TurncoatError(
            f"write_access is {threat.write_access}, but {federation.hostile} hostile of {federation.workers}"
            f" workers own k = {k:g} of the data: leave write_access out"
        )
    if recipe.optimizer != "sgd" and federation.local_steps > 1:
        raise TurncoatError(
            f"local_steps = {federation.local_steps} averages parameters, so optimizer {recipe.optimizer!r} would"
            " do nothing: use sgd"
        )
    if recipe.clip_norm and federation.local_steps > 1:
        raise TurncoatError(
            f"local_steps = {federation.local_steps} averages parameters, so clip_norm {recipe.clip_norm:g} would"
            " do nothing: leave clip_norm out"
        )
    return dataclasses.replace(threat, write_access=k, placement="fixed")


def why_unplanned(threat: Threat, recipe: Recipe) -> str:
    """Why no plan is made here, and what to set instead; empty where one is."""
    if recipe.optimizer != "sgd":
        return (
            f"selection 'planned' goes back through the steps of sgd, but optimizer is {recipe.optimizer!r}, which"
            " scales each step by all before it: set optimizer to 'sgd', or selection to 'optimal'"
        )
    if threat.last_rounds and not recipe.constant:
        given = "warmup" if recipe.warmup else "lr_schedule"
        return (
            f"selection {threat.selection!r} plans the last rounds alone where all are equally long, but {given} is"
            f" {getattr(recipe, given)!r}: leave {given} out, or last_rounds, or set selection to 'optimal'"
        )
    if recipe.clip_norm:
        return (
            f"selection 'planned' goes back through steps as long as their gradients, but clip_norm is"
            f" {recipe.clip_norm:g}: leave clip_norm out, or set selection to 'optimal'"
        )
    if threat.schedule not in ("epoch", "once"):
        return (
            f"selection {threat.selection!r} decides once an epoch or once for all, not with schedule"
            f" {threat.schedule!r}: set schedule to 'epoch' or 'once'"
        )
    return ""


def _check_imitation(threat: Threat, federation: Federation) -> None:
    """Refuse an imitation of messages that nobody sends, or that are not sent yet."""
    if not federation.workers:
        raise TurncoatError(
            f"selection {threat.selection!r} imitates workers' messages: give workers and hostile, such as"
            " workers = 10 and hostile = 2"
        )
    if threat.schedule == "once":
        raise TurncoatError(
            f"selection {threat.selection!r} looks at the messages of every round: set schedule to 'epoch' or 'step'"
        )
