"""The attack for one's own training loop: the labels that turn a module's next step around most.

flips = turncoat.worst_flips(model, x, y, flips=100)
for inputs, labels in DataLoader(turncoat.FlippedLabels(dataset, flips), batch_size=64, shuffle=True):
    ...
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.utils.data import DataLoader

from turncoat import errors
from turncoat.attack import given, weighted
from turncoat.attack.derivatives import Case, gradients, reverse_directional, scores
from turncoat.attack.heads import head
from turncoat.attack.inputs import Inputs
from turncoat.attack.module_call import Body, at_rest
from turncoat.attack.selection import OwnSelection, Selection, resolve
from turncoat.attack.training_mode import objective_in_training, parts_in_training
from turncoat.direction import Params, untargeted
from turncoat.models.criterion import Loss
from turncoat.models.known_losses import criterion
from turncoat.models.probe import last_layer
from turncoat.models.scores import directional
from turncoat.models.stack import head_only


@errors.known_arguments
@dataclasses.dataclass(frozen=True, eq=False)
class Flips:
    """Chosen labels, and what they do to the objective ⟨-∇L, Δ⟩, with L the loss over all given rows at once.

    The figures are those of the module in evaluation mode, for which the choice is made. Where parts of it act
    differently in training mode, ``note`` names them, and the figures ``…_training`` are what the same flips do
    there: every gradient in training mode, Δ = -∇L too where it is untargeted. Up to 128 rows are one batch there,
    more go in random batches of at most 128; dropout is drawn once. They are None where the module takes no batch
    of that size in training mode.
    """

    labels: Shaped[Tensor, "n *m"]  # of all examples, in shape and type as they were given
    indices: Int[
        Tensor, "p *two"
    ]  # the rows whose label changed, rising; row and label under a multi-label head
    gain: Float[Tensor, " p"]  # what each of these flips alone adds to the objective
    alignment_before: float
    alignment_after: float
    alignment_before_training: float | None = None
    alignment_after_training: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        for name, axes in (("labels", (1, 2)), ("indices", (1, 2)), ("gain", (1,))):
            value = getattr(self, name)
            if not isinstance(value, Tensor) or value.ndim not in axes or not bool(value.isfinite().all()):
                raise errors.TurncoatError(
                    f"{name} is {errors.shown(value)}, but must be a tensor such as worst_flips gives"
                )
        for name in ("alignment_before", "alignment_after"):
            errors.real(getattr(self, name), name)


@errors.known_arguments
def worst_flips(
    module: nn.Module,
    x: "Inputs | list[Tensor] | DataLoader",
    y: Tensor | None = None,
    flips: int | None = None,
    direction: str | Params = "untargeted",
    loss: Loss | None = None,
    selection: "str | OwnSelection" = "optimal",
    generator: torch.Generator | None = None,
    members: Tensor | np.ndarray | Sequence[int] | None = None,
) -> Flips:
    """The labels with at most ``flips`` changes that minimise ⟨-∇L, Δ⟩ at the module's parameters.

    ``x`` is a tensor, a tuple or dict of tensors with which the module is called, or a DataLoader of (inputs,
    labels) in the dataset's order, which is read once and held in memory. ``members`` are the rows that may be
    flipped, by number or as a mask: the attacker's write access; without them all may.
    ``direction`` is Δ, one tensor per trainable parameter by name, or "untargeted" for -∇L of the given labels.
    ``loss`` replaces cross-entropy: ``nn.CrossEntropyLoss`` with weights, smoothing or another reduction;
    ``nn.BCEWithLogitsLoss`` for a head with one logit, or with one for each of several labels, each of which is a
    label to flip; or ``loss(logits (c,), label) -> scalar`` of one example, whose mean L then is. Rows whose label
    the loss ignores stay as they are. The module is scored in evaluation mode (BatchNorm uses its running statistics,
    dropout is off) and left exactly as it was; the warning ``evaluation-mode`` tells where training is another matter.

    Raises:
        TurncoatError: for flips outside 0 … the labels that may be flipped, labels that are no class, a direction that
            does not fit, an output of another shape, examples that influence each other, a loss that is not per
            example, a loader in another order, or an operation without a forward-mode derivative.

    Warns:
        EvaluationModeWarning: ``evaluation-mode``: parts of the module act differently in training mode.
    """
    inputs, y = given.examples(x, y)
    resolve(selection)  # tells of an unknown name at once
    draw = given.checked_generator(generator)
    with at_rest(module) as body:
        case, some, honest = _case(body, inputs, y, loss)
        own, most = given.reach(members, flips, y, case, honest)
        rule = resolve(selection, len(own) / len(honest))
        aim = given.checked_direction(body.params, direction)
        toward = untargeted(gradients(case, [honest])[0]) if aim is None else aim
        worth, seen = _scores(rule, case, some, toward)
        given.check_scores(worth, case)
        labels = weighted.spend(rule, seen, honest, own, most, draw, case.loss)
        before, after, gain = weighted.judged(worth, honest, labels, case.loss)
        parts = parts_in_training(case, some)
        trained: tuple[float | None, float | None] = before, after
        if parts:
            trained = objective_in_training(case, (honest, labels), aim)
    new = labels.reshape(y.shape).to(y)
    return Flips(
        labels=new,
        indices=(new != y).nonzero()
        if case.head.decisions > 1
        else (new != y).reshape(-1).nonzero().squeeze(1),
        gain=gain,
        alignment_before=before,
        alignment_after=after,
        alignment_before_training=trained[0],
        alignment_after_training=trained[1],
        note=_told(parts),
    )


def _case(body: Body, inputs: Inputs, y: Tensor, loss: Loss | None) -> tuple[Case, Inputs, Int[Tensor, " k"]]:
    """What derivatives are taken of, a few of its examples, and their labels."""
    some = given.few(inputs, body)
    output = given.tried(body, some)
    own = head(loss, output, len(output))
    logits = own.logits(output)
    classes = logits.shape[1]
    case = Case(body, inputs, own, criterion(loss, classes, logits, own.decisions))
    labels = own.labels(y, len(y)).to(body.device)
    given.check_labels(labels, classes, case.loss)
    return case, some, labels


def _scores(
    rule: "OwnSelection | Selection", case: Case, some: Inputs, toward: Params
) -> tuple[Float[Tensor, "k c"], Float[Tensor, "k c"]]:
    """What labels are worth, and what the rule reads: the same, unless it says otherwise."""
    kind = rule.needs if isinstance(rule, Selection) else "scores"
    if kind in ("scores", "centred"):
        worth = scores(case, directional, toward)
        return worth, worth
    # such a rule works without forward mode, so what it is worth is found without it too
    worth = scores(case, reverse_directional, toward)
    if kind == "logits":
        with torch.no_grad():
            return worth, torch.cat([case.logits(case.body.params, rows) for rows in case.chunks()])
    if kind == "last_layer":
        output = last_layer(case.body.module, lambda: case.body(case.body.params, some))
        return worth, scores(case, reverse_directional, head_only(toward, output))
    return worth, worth


def _told(parts: tuple[str, ...]) -> str:
    """The note on parts that act differently in training mode; also given as a warning."""
    if not parts:
        return ""
    named = ", ".join(parts[:3]) + (f" and {len(parts) - 3} more" if len(parts) > 3 else "")
    note = f"exact for the module in evaluation mode; in training mode it differs by {named}"
    errors.warn(
        f"evaluation-mode: the flips are {note}: see alignment_before_training and alignment_after_training",
        errors.EvaluationModeWarning,
    )
    return note
