"""In which numbers the products of a training step are taken.

With "bfloat16" both factors of a product are rounded to 8 bits, and so is its result: in every step, and in the rounds
of attackers, who look at the features that are trained on. Of transformers all that lies between features and logits is
in bfloat16, and so are the gradients of a batch. Parameters, updates, sums over batches and what a loss makes of logits
stay in float32, and so do plans, targets' and surrogates' scores before training, and the evaluation.
"""

from turncoat.errors import TurncoatError

FLOAT32, BFLOAT16 = PRECISIONS = ("float32", "bfloat16")
FAMILIES = ("logistic", "mlp", "vit")  # of models whose steps have such products

_STAY = "leave precision out"


def _family(model: str) -> str:
    """What comes before a size: ``mlp`` of mlp:64, ``vit`` of vit-tiny; a module of one's own is none."""
    return (
        model if ":" in model and not model.startswith("mlp:") else model.partition(":")[0].partition("-")[0]
    )


def obstacle(defended: bool, federated: bool, model: str | None = None) -> str:
    """What of a learner takes no products in bfloat16, in words; empty if all of it does."""
    if federated:
        return "workers send messages in float32"
    if defended:
        return "a defence's learner steps in float32"
    if model is not None and _family(model) not in FAMILIES:
        return f"model {model!r} trains in float32"
    return ""


def refuse(precision: str, defended: bool, federated: bool, model: str | None = None) -> None:
    """Accept a precision with what surrounds it; ``model`` is a model's name, where it is known.

    Raises:
        TurncoatError: for products in bfloat16 of a model or a learner that has none.
    """
    if precision == FLOAT32 or not (why := obstacle(defended, federated, model)):
        return
    away = "leave workers out" if federated else "leave defence out" if defended else ""
    instead = away or f"set model to {' or '.join(map(repr, FAMILIES))}"
    raise TurncoatError(f"precision is {precision!r}, but {why}: {_STAY}, or {instead}")
