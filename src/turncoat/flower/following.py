"""A hostile client that follows a plan of the whole training."""

from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from turncoat import errors
from turncoat.attack.names import is_planned
from turncoat.attack.selection import OwnSelection
from turncoat.errors import TurncoatError
from turncoat.planning.plan import Plan


def to_follow(selection: object, plan: object, local_budget: float, direction: object) -> Plan | None:
    """The plan that a hostile client follows, if it follows one.

    Raises:
        TurncoatError: for a plan without the selection "planned" or that without a plan, for a file that is none, or
            for a budget or direction beside it.
    """
    if is_planned(selection) != (plan is not None):
        raise TurncoatError(
            "selection 'planned' follows a plan: give plan='plan.npz', the file of turncoat.plan(...).save('plan.npz')"
            if plan is None
            else f"a plan is given, but selection {errors.shown(selection)} does not follow it: set selection='planned'"
        )
    if plan is None:
        return None
    if not isinstance(plan, Plan | str | Path):
        raise TurncoatError(f"plan is {errors.shown(plan)}, but must be a Plan or the file of one")
    found = plan if isinstance(plan, Plan) else Plan.load(plan)
    own = found.made.threat.local_budget
    if direction is not None or local_budget not in (1.0, own):
        raise TurncoatError(
            f"a plan has its own direction and local budget, here {own:g}: leave direction and local_budget out"
        )
    return found


def following(plan: Plan, loader: DataLoader, turn: int) -> OwnSelection:
    """The rule that takes a round's labels from the plan, whatever this round alone would want.

    Raises:
        TurncoatError: for examples of several inputs, and in the rule for those of another width than the plan's.
    """
    try:
        x = torch.cat([inputs for inputs, _ in loader])
    except TypeError as error:
        raise TurncoatError(
            "a plan is about examples of one tensor, but these have several inputs"
        ) from error

    def planned(scores: Tensor, labels: Tensor, flips: int, generator: torch.Generator) -> Tensor:
        return plan.flips(x, labels, range(len(labels)), turn, generator)

    return planned
