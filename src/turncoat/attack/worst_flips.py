"""The attack for one's own training loop: the labels that turn a module's next step around most.

flips = turncoat.worst_flips(model, x, y, flips=100)
for inputs, labels in DataLoader(turncoat.FlippedLabels(dataset, flips), batch_size=64, shuffle=True):
    ...
"""

import dataclasses

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from turncoat import errors
from turncoat.attack import given, weighted
from turncoat.attack.derivatives import CHUNK, gradients, reverse_directional, scores
from turncoat.attack.module_call import Body, at_rest
from turncoat.attack.selection import Rule, Selection, resolve
from turncoat.attack.training_mode import objective_in_training, parts_in_training
from turncoat.direction import Params, untargeted
from turncoat.models.criterion import Criterion, Loss, criterion
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

    labels: Int[Tensor, " n"]  # of all examples
    indices: Int[Tensor, " p"]  # the examples whose label changed, rising
    gain: Float[Tensor, " p"]  # what each of these flips alone adds to the objective
    alignment_before: float
    alignment_after: float
    alignment_before_training: float | None = None
    alignment_after_training: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        for name in ("labels", "indices", "gain"):
            value = getattr(self, name)
            if not isinstance(value, Tensor) or value.ndim != 1:
                raise errors.TurncoatError(
                    f"{name} is {errors.shown(value)}, but must be a tensor of one axis, as from worst_flips"
                )
        for name in ("alignment_before", "alignment_after"):
            errors.real(getattr(self, name), name)


@errors.known_arguments
def worst_flips(
    module: nn.Module,
    x: Tensor,
    y: Int[Tensor, " n"],
    flips: int,
    direction: str | Params = "untargeted",
    loss: Loss | None = None,
    selection: "str | Rule" = "optimal",
    generator: torch.Generator | None = None,
) -> Flips:
    """The labels with at most ``flips`` changes that minimise ⟨-∇L, Δ⟩ at the module's parameters.

    ``direction`` is Δ, one tensor per trainable parameter by name, or "untargeted" for -∇L of the given labels.
    ``loss`` replaces cross-entropy: ``nn.CrossEntropyLoss`` with weights, smoothing or another reduction, or
    ``loss(logits (c,), label) -> scalar`` of one example, whose mean L then is. Rows whose label the loss ignores
    stay as they are. The module is scored in evaluation mode (BatchNorm uses its running statistics, dropout is
    off) and left exactly as it was; the warning ``evaluation-mode`` tells where training is another matter.

    Raises:
        TurncoatError: for flips outside 0 … n, labels that are no class, a direction that does not fit, an
            output that is not (n, c), examples that influence each other, a loss that is not per example, or an
            operation without a forward-mode derivative.
    """
    given.check_input(x, y, flips)
    rule = resolve(selection)
    draw = given.checked_generator(generator)
    with at_rest(module) as body:
        logits = given.tried(body, body.params, x)
        own = criterion(loss, logits.shape[1], logits)
        given.check_labels(y, logits.shape[1], own)
        aim = given.checked_direction(body.params, direction)
        toward = untargeted(gradients(body, body.params, x, [y], own)[0]) if aim is None else aim
        worth, seen = _scores(rule, body, x, toward, own)
        given.check_scores(worth, x, body.params)
        labels = weighted.spend(rule, seen, y, flips, draw, own)
        before, after, gain = weighted.judged(worth, y, labels, own)
        parts = parts_in_training(body, x)
        trained: tuple[float | None, float | None] = before, after
        if parts:
            trained = objective_in_training(body, x, (y, labels), aim, own)
    return Flips(
        labels=labels,
        indices=(labels != y).nonzero().squeeze(1),
        gain=gain,
        alignment_before=before,
        alignment_after=after,
        alignment_before_training=trained[0],
        alignment_after_training=trained[1],
        note=_told(parts),
    )


def _scores(
    rule: "Rule | Selection", body: Body, x: Tensor, toward: Params, loss: Criterion
) -> tuple[Float[Tensor, "n c"], Float[Tensor, "n c"]]:
    """What labels are worth, and what the rule reads: the same, unless it says otherwise."""
    params = body.params
    kind = rule.needs if isinstance(rule, Selection) else "scores"
    if kind in ("scores", "centred"):
        worth = scores(directional, body, params, x, toward, loss)
        return worth, worth
    # such a rule works without forward mode, so what it is worth is found without it too
    worth = scores(reverse_directional, body, params, x, toward, loss)
    if kind == "logits":
        with torch.no_grad():
            return worth, torch.cat([body(params, rows) for rows in x.split(CHUNK)])
    if kind == "last_layer":
        head = head_only(toward, last_layer(body.module, lambda: body(params, x[:1])))
        return worth, scores(reverse_directional, body, params, x, head, loss)
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
