"""Which flips to spend: each rule proposes a label and a priority per example, and ``spending`` spends the budget.

A rule sees the scores of the attacker's own examples only. ``propose`` works on any trailing axes, so that the
engine runs it once for a stack of replicas; calling the rule does the same for a single model.
"""

import dataclasses
import difflib
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat import errors, own_code
from turncoat.attack.names import FORMS, IMITATE, PLANS, STRONGEST, is_own, is_planned
from turncoat.attack.proposals import (
    Proposal,
    propose_as_printed,
    propose_cyclic,
    propose_optimal,
    propose_random,
)
from turncoat.attack.rivals import (
    PARAMETRIC,
    parametric,
    propose_highest_loss,
    propose_least_likely,
    propose_mirror,
)
from turncoat.attack.spending import check_spent, spend

Propose = Callable[[Tensor, Tensor, torch.Generator], Proposal]
OwnSelection = Callable[[Tensor, Tensor, int, torch.Generator], Tensor]


@dataclasses.dataclass(frozen=True)
class Selection:
    """A rule that spends flips: ``selection(scores, labels, flips, generator) -> new labels``.

    ``needs`` says what it reads as scores: "nothing", the "scores", the "centred" ones, those of the
    "last_layer", or the model's "logits".
    """

    propose: Propose
    needs: str = "scores"

    def __call__(
        self,
        scores: Float[Tensor, "n c"],
        labels: Int[Tensor, " n"],
        flips: int,
        generator: torch.Generator,
    ) -> Int[Tensor, " n"]:
        """The labels after at most ``flips`` changes; ``labels`` itself is left as it was."""
        proposed, priority = self.proposals(scores, labels, generator)
        return spend(proposed.to(labels.dtype), priority, labels, min(flips, len(labels)))

    def proposals(
        self, scores: Float[Tensor, "n c *r"], labels: Int[Tensor, "n *r"], generator: torch.Generator
    ) -> Proposal:
        """A label and a priority for every example.

        Raises:
            TurncoatError: if ``propose`` fails, or gives no two tensors of the labels' shape.
        """
        result = _attempted(
            self.propose,
            (scores, labels, generator),
            "propose(scores, labels, generator)",
            "labels and priorities",
        )
        shapes = [getattr(part, "shape", None) for part in result] if isinstance(result, tuple | list) else []
        if shapes != [labels.shape] * 2:
            raise errors.TurncoatError(
                f"selection {_name(self.propose)} proposed {errors.shown(shapes or result)}, but must give two tensors"
                f" of shape {tuple(labels.shape)}: labels and priorities"
            )
        return result[0], result[1]


def ask(
    rule: "Selection | OwnSelection",
    scores: Float[Tensor, "n c"],
    labels: Int[Tensor, " n"],
    flips: int,
    generator: torch.Generator,
) -> object:
    """What a rule makes of these examples, not yet judged.

    Raises:
        TurncoatError: if the rule fails.
    """
    given = (scores, labels, flips, generator)
    if isinstance(rule, Selection):
        return rule(*given)
    return _attempted(rule, given, "rule(scores, labels, flips, generator)", "the new labels")


def _attempted(call: Callable[..., object], given: tuple[object, ...], form: str, result: str) -> Any:
    try:
        return call(*given)
    except errors.TurncoatError:
        raise
    except Exception as error:
        raise errors.TurncoatError(
            f"selection {_name(call)} failed ({errors.reason(error)}): it is called as {form} and must return {result}"
        ) from error


def _name(call: object) -> str:
    return str(getattr(call, "__name__", type(call).__name__))


SELECTIONS: dict[str, Selection] = {
    "optimal": Selection(propose_optimal),
    "as_printed": Selection(propose_as_printed, needs="centred"),
    "last_layer": Selection(propose_optimal, needs="last_layer"),
    "random": Selection(propose_random, needs="nothing"),
    "cyclic": Selection(propose_cyclic, needs="nothing"),
    "mirror": Selection(propose_mirror, needs="nothing"),
    "least_likely": Selection(propose_least_likely, needs="logits"),
    "highest_loss": Selection(propose_highest_loss, needs="logits"),
}


def find(name: object, write_access: float = 1.0) -> "Selection | OwnSelection":
    """The selection of that name: "optimal", "source_to_target:7:1", or "mypkg.rules:mine", a rule of one's own.

    Raises:
        TurncoatError: with the nearest name if there is none, if one's own can't be imported, or if it is no rule of
            one round.
    """
    if is_planned(name):
        raise errors.TurncoatError(
            f"selection {name!r} plans the flips of a whole training, so a single round has none: use"
            f" Threat(selection={name!r}) in train(...), or turncoat.plan(...)"
        )
    if isinstance(name, str) and name == STRONGEST:
        raise errors.TurncoatError(
            "selection 'strongest' stands for every rule that the threat admits, and is none itself: type turncoat"
            " attack --strongest, or name it in an experiment file"
        )
    if isinstance(name, str) and name.startswith(f"{IMITATE}:"):
        raise errors.TurncoatError(
            f"selection {name!r} imitates what a federation's workers send: use it in train(...) with"
            " Federation(workers=10, hostile=2), or selection 'optimal'"
        )
    if isinstance(name, str) and name not in SELECTIONS:
        propose = parametric(name, write_access)
        if propose is not None:
            return Selection(propose, needs="nothing")
        if is_own(name):
            return _own(name)
    known = (*SELECTIONS, *PARAMETRIC, *PLANS, STRONGEST, *FORMS)
    return SELECTIONS[errors.choose(name, known, "selection")]


def _own(name: str) -> "Selection | OwnSelection":
    family = name.partition(":")[0]
    if family in (plain := (*SELECTIONS, STRONGEST)):
        errors.choose(name, plain, "selection")  # a rule that takes no number
    try:
        rule: Selection | OwnSelection = own_code.rule(name, "selection", "new labels")
    except errors.TurncoatError:
        if difflib.get_close_matches(family, (*PARAMETRIC, IMITATE), cutoff=0.8):
            errors.choose(family, (*PARAMETRIC, IMITATE), "selection")  # a slip of the pen, no module
        raise
    return rule


def resolve(selection: "str | OwnSelection", write_access: float = 1.0) -> "Selection | OwnSelection":
    """The selection of that name for an attacker's k, or the callable itself."""
    return selection if callable(selection) else find(selection, write_access)


def flip_labels(
    selection: "str | OwnSelection",
    scores: Float[Tensor, "n c"],
    labels: Int[Tensor, " n"],
    members: Int[Tensor, " m"],
    flips: int,
    generator: torch.Generator,
) -> Int[Tensor, " n"]:
    """New labels after ``selection`` spent at most ``flips`` on ``members`` (the attacker's K) alone.

    Raises:
        TurncoatError: if the selection overspends or returns something that is not labels.
    """
    own = labels[members]
    rule = resolve(selection)
    chosen = ask(rule, scores[members].clone(), own.clone(), flips, generator)
    allowed = torch.tensor(flips, device=labels.device)
    result = labels.clone()
    result[members] = check_spent(chosen, own, allowed, scores.shape[1]).to(labels.dtype)
    return result
