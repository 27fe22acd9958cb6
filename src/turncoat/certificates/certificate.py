"""What a certificate says, example by example and in sum."""

import dataclasses

import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from turncoat import errors

BUDGETS = (0, 1, 3, 10, 30, 100, 300, 1000)  # numbers of flips at which certified accuracy is told
ABSTAINS = -1
COLUMNS = ("prediction", "radius", "labels")


@errors.known_arguments
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Certificate:
    """For every test example what is predicted, and how many flips leave that as it is.

    The statement: train the same learner on the same rows with at most ``radius[i]`` labels changed, whichever
    and to whatever, before training begins, and example i is still answered with ``prediction[i]``. Nothing is
    said of flips that are chosen anew while training goes on, of changed features, or of added rows.
    A prediction of -1 abstains; it counts as wrong.

    Raises:
        TurncoatError: for a value of the wrong kind, or examples that differ in number.
    """

    dataset: str
    scale: str
    model: str
    method: str
    features: str
    partitions: int | None  # models that vote; None where none do
    prediction: Int[Tensor, " t"]
    radius: Int[Tensor, " t"]
    labels: Int[Tensor, " t"]  # of the test examples

    def __post_init__(self) -> None:
        for name in ("dataset", "scale", "model", "method", "features"):
            errors.text(getattr(self, name), name)
        if self.partitions is not None:
            errors.whole(self.partitions, "partitions", 1)
        for name in COLUMNS:
            value = getattr(self, name)
            if not isinstance(value, Tensor) or value.dtype != torch.int64 or value.ndim != 1:
                raise errors.TurncoatError(
                    f"{name} is {errors.shown(value)}, but must be a tensor of int64, one number per test example"
                )
        if len({len(getattr(self, name)) for name in COLUMNS}) > 1 or not len(self.labels):
            raise errors.TurncoatError(
                f"prediction, radius and labels are {len(self.prediction)}, {len(self.radius)} and {len(self.labels)}"
                " examples, but must be as many, and at least one"
            )

    def __repr__(self) -> str:
        told = ", ".join(f"{flips} flips {value:.3f}" for flips, value in self.certified_accuracy.items())
        return f"Certificate({self.dataset!r}, {self.method}: accuracy under {told})"

    @property
    def clean_accuracy(self) -> float:
        """Share of test examples that are answered rightly, with no flips."""
        return self.accuracy_under(0)

    @property
    def certified_accuracy(self) -> dict[int, float]:
        """Accuracy that so many flips can't push the learner below, for some numbers of flips."""
        return {flips: self.accuracy_under(flips) for flips in BUDGETS}

    def accuracy_under(self, flips: int) -> float:
        """Accuracy that ``flips`` flips can't push the learner below.

        Raises:
            TurncoatError: if it is no whole number from 0 on.
        """
        held = self.radius >= errors.whole(flips, "flips")
        return float(((self.prediction == self.labels) & held).double().mean())

    def to_pandas(self) -> pd.DataFrame:
        """One row per test example."""
        return pd.DataFrame({name: getattr(self, name).numpy(force=True) for name in COLUMNS})
