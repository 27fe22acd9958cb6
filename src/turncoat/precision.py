"""In which numbers the products of a training step are taken.

With "bfloat16" both factors of a product are rounded to 8 bits, and so is its result: in every step, and in the rounds
of attackers, who look at the features that are trained on. Parameters, updates and what a loss makes of logits stay in
float32, and so do plans, targets' and surrogates' scores before training, and the evaluation.
"""

from turncoat.errors import TurncoatError

FLOAT32, BFLOAT16 = PRECISIONS = ("float32", "bfloat16")
FAMILIES = ("logistic", "mlp")  # of models whose steps have such products

_STAY = "leave precision out"


def refuse(precision: str, defended: bool, federated: bool, model: str | None = None) -> None:
    """Accept a precision with what surrounds it; ``model`` is a model's name, where it is known.

    Raises:
        TurncoatError: for products in bfloat16 of a model or a learner that has none.
    """
    if precision == FLOAT32:
        return
    if federated:
        raise TurncoatError(
            f"precision is {precision!r}, but workers send messages in float32: {_STAY}, or leave workers out"
        )
    if defended:
        raise TurncoatError(
            f"precision is {precision!r}, but a defence's learner steps in float32: {_STAY}, or leave defence out"
        )
    if model is not None and model.partition(":")[0] not in FAMILIES:
        raise TurncoatError(
            f"precision is {precision!r}, but model {model!r} trains in float32: {_STAY}, or set model to"
            f" {' or '.join(map(repr, FAMILIES))}"
        )
