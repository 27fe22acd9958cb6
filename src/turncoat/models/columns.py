"""Features that are 0 in every example, such as the corners of MNIST's images, left out of a stack's products.

Their weights change no logit and get no gradient, so training, attack and evaluation are the same without them but for
the order of sums. Parameters come out whole: as the full model starts in those places, where it starts.
"""

import dataclasses

import torch
from jaxtyping import Int
from torch import Tensor

from turncoat.direction import Params
from turncoat.models.stack import Model, expand

LEAST = 0.05  # of all columns: fewer are not worth copies of the features


@dataclasses.dataclass(frozen=True)
class Columns:
    """The columns that are used, of a model that eats all."""

    used: Int[Tensor, " u"]
    model: Model  # that eats all

    def cut(self, params: Params) -> Params:
        """The used columns' part of whole parameters, or of anything shaped like them."""
        axes = self.model.feature_axis
        return {  # a start is drawn on the CPU, whatever it is for
            name: value.index_select(axes[name], self.used.to(value.device)) if name in axes else value
            for name, value in params.items()
        }

    def whole(self, params: Params, start: Params) -> Params:
        """Whole parameters, which are as in ``start``, a stack of one, where columns were left out."""
        axes, one = self.model.feature_axis, self.model.replica_axis
        count = next(value.shape[one[name]] for name, value in params.items())
        blank = expand({name: start[name] for name in params if name in axes}, count, one)
        return {
            name: blank[name].index_copy(axes[name], self.used, value) if name in axes else value
            for name, value in params.items()
        }


def used(*parts: Tensor) -> Int[Tensor, " u"]:
    """The columns (n, u) of these examples that are not 0 in all of them."""
    return torch.stack([(part != 0).any(0) for part in parts]).any(0).nonzero().squeeze(1)


def narrow(model: Model, *parts: Tensor) -> Columns | None:
    """The columns to train a model on, where leaving the others out is worth it."""
    if not model.feature_axis or parts[0].ndim != 2:
        return None
    found = used(*parts)
    return Columns(found, model) if len(found) <= (1 - LEAST) * parts[0].shape[1] else None


def narrowed(columns: Columns) -> Model:
    """The model on its used columns alone, with the same start there."""
    model = columns.model
    return dataclasses.replace(
        model, init=lambda generator, replicas: columns.cut(model.init(generator, replicas))
    )
