"""Linear models with fewer rows than features, trained by one coefficient per row in place of one per feature.

From a zero start every gradient step of a linear model adds a combination of its rows, so its weights stay
XᵀA for some A (the representer theorem's argument), whatever labels, learning rate, momentum and weight decay.
A step on all rows then needs the rows' products XXᵀ alone, which do not change: for 60 images of 784 pixels it
is 13 times less work, and the iterates are the same.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from turncoat.direction import Params


class Span(NamedTuple):
    """Coefficients (m, rows, r) of each replica's m own rows, laid out as ``Model.lay_own`` lays weights."""

    name: str
    rows: int  # of weights: 1 for two classes, else one per class

    def start(self, x: Float[Tensor, "r m d1"]) -> Params:
        """Zeros: the only start for which the weights lie in the span."""
        return {self.name: x.new_zeros(len(x), self.rows, x.shape[1]).permute(2, 1, 0)}

    def products(self, x: Float[Tensor, "r m d1"]) -> Float[Tensor, "r m m"]:
        """XXᵀ of each replica: what ``forward`` eats."""
        return torch.bmm(x, x.transpose(1, 2))

    def forward(
        self, params: Params, products: Float[Tensor, "r m m"]
    ) -> tuple[Float[Tensor, "m c r"], Callable[[Tensor, Params, float], None]]:
        """Logits of a replica's own rows; a residual pulled back is itself the coefficients' step."""
        own = params[self.name].permute(2, 1, 0)
        z = torch.bmm(own, products).permute(2, 1, 0)

        def pull(residual: Tensor, into: Params, weight: float) -> None:
            into[self.name].add_(residual[:, residual.shape[1] - self.rows :], alpha=weight)

        return z if self.rows > 1 else torch.cat([torch.zeros_like(z), z], 1), pull

    def weights(self, params: Params, x: Float[Tensor, "r m d1"]) -> Params:
        """XᵀA: the weights as the model keeps them."""
        return {self.name: torch.bmm(params[self.name].permute(2, 1, 0), x).permute(2, 1, 0)}
