"""How the server trains: the papers' settings are the defaults."""

import dataclasses

from turncoat import defence, errors, rates
from turncoat.fields import described
from turncoat.precision import FLOAT32, PRECISIONS

OPTIMIZERS = ("sgd", "adam", "adamw")


@errors.known_arguments
@dataclasses.dataclass(frozen=True)
class Recipe:
    """Mini-batch training from scratch with cross-entropy.

    Raises:
        TurncoatError: for a number out of range or options that would do nothing.
    """

    epochs: int = described(200, "passes over the data")
    batch_size: int = described(64, "examples in a mini-batch")
    learning_rate: float = described(0.001, "step size of the optimizer")
    optimizer: str = described("sgd", "how the server steps", OPTIMIZERS)
    momentum: float = described(0.0, "momentum of sgd, 0 to below 1")
    weight_decay: float = described(
        0.0, "L2 penalty added to the gradient; with adamw taken off the parameters instead"
    )
    patience: int = described(0, "stop a model after so many epochs without a better held-out loss; 0: never")
    held_out: float = described(0.1, "share of the training data held out when patience is set")
    defence: str = described(
        "none",
        "what the learner does against wrong labels, such as gce:0.7, knn:10, gold:500, redundancy:3 or a chain of"
        " them with +",
    )
    precision: str = described(
        FLOAT32,
        "numbers that products of steps and rounds are taken in; parameters stay in float32",
        PRECISIONS,
    )

    clip_norm: float = described(
        0.0,
        "longest gradient of a step, over all of a model's parameters: longer ones are scaled down; 0: none",
    )
    lr_schedule: str = described(
        rates.CONSTANT,
        "how the learning rate changes from step to step: constant, cosine, or step:E1,E2:FACTOR, which multiplies it"
        " with FACTOR after each of these epochs",
    )
    warmup: int = described(0, "epochs in which the learning rate rises from 0")

    def __post_init__(self) -> None:
        errors.choose(self.optimizer, OPTIMIZERS, "optimizer")
        errors.choose(self.precision, PRECISIONS, "precision")
        for name, number in (
            ("epochs", errors.whole(self.epochs, "epochs", 1)),
            ("batch_size", errors.whole(self.batch_size, "batch_size", 1)),
            ("patience", errors.whole(self.patience, "patience", 0)),
            ("learning_rate", errors.positive(self.learning_rate, "learning_rate")),
            ("momentum", errors.share(self.momentum, "momentum")),
            ("weight_decay", errors.real(self.weight_decay, "weight_decay")),
            ("held_out", errors.share(self.held_out, "held_out")),
            ("clip_norm", errors.real(self.clip_norm, "clip_norm")),
            ("warmup", errors.whole(self.warmup, "warmup", 0)),
        ):
            object.__setattr__(self, name, number)
        object.__setattr__(self, "defence", defence.written(defence.chain(self.defence)))
        schedule = rates.written(self.lr_schedule, self.epochs, self.warmup)
        object.__setattr__(self, "lr_schedule", schedule)
        for name, number in (("weight_decay", self.weight_decay), ("clip_norm", self.clip_norm)):
            if number < 0:
                raise errors.TurncoatError(f"{name} is {number}, but must be 0 or more")
        if self.optimizer == "adamw" and not self.weight_decay:
            raise errors.TurncoatError(
                "optimizer 'adamw' differs from 'adam' in its weight decay alone, which is 0: set weight_decay, such"
                " as 0.01, or set optimizer to 'adam'"
            )
        if self.momentum == 1:
            raise errors.TurncoatError("momentum is 1, but must be below 1, such as 0.9")
        if self.momentum and self.optimizer != "sgd":
            raise errors.TurncoatError(
                f"momentum is {self.momentum}, but optimizer {self.optimizer!r} has none of its own:"
                " leave momentum out, or set optimizer to 'sgd'"
            )
        if self.patience and not 0 < self.held_out < 1:
            raise errors.TurncoatError(
                "patience needs held-out data: set held_out between 0 and 1, such as 0.1"
            )

    @property
    def steady(self) -> bool:
        """Whether every step is as long as its gradient says, and by the same factor."""
        return self.constant and not self.clip_norm

    @property
    def constant(self) -> bool:
        """Whether the learning rate is the same at every step."""
        return self.lr_schedule == rates.CONSTANT and not self.warmup

    def rate(self, step: int, each: int) -> float:
        """The learning rate of a step, counted from 1, with ``each`` steps in an epoch."""
        if self.constant:
            return self.learning_rate
        return self.learning_rate * rates.rate(self.lr_schedule, self.epochs, self.warmup, each)(step)

    def passed(self, epoch: int, each: int) -> float:
        """How far a training has come after an epoch, in steps of the full learning rate."""
        if self.constant:
            return float(epoch * each)
        return rates.passed(self.lr_schedule, self.epochs, self.warmup, each)[epoch]

    def held(self, n: int) -> int:
        """How many of ``n`` training examples are held out to stop by.

        Raises:
            TurncoatError: if patience is set and the share makes up no example.
        """
        if not self.patience:
            return 0
        count = int(self.held_out * n)
        if count == 0:
            raise errors.TurncoatError(
                f"held_out is {self.held_out}, which is no example of {n}: set held_out to at least"
                f" {errors.up(1 / n)}, or leave patience out"
            )
        return count
