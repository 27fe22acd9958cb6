"""Coordinate-wise rules: every parameter is decided by its own w values."""

from jaxtyping import Float
from torch import Tensor

from turncoat.federation.aggregators.contract import Limit, batched
from turncoat.federation.aggregators.order import mean_of_nearest, mean_of_ranks, middle

YIN = "Yin et al. 2018"
XIE = "Xie et al. 2018"


@batched(Limit("median", 2, 0, YIN))
def median(messages: Float[Tensor, "r w p"], f: int) -> Float[Tensor, "r p"]:
    """Median of each coordinate; for an even number of workers the mean of the two middle values.

    Raises:
        TurncoatError: if 2f >= w.

    Source: Yin et al. 2018, "Byzantine-robust distributed learning", Definition 1.
    """
    return mean_of_ranks(messages, middle(messages.shape[1]))


@batched(Limit("trimmed_mean", 2, 0, YIN))
def trimmed_mean(messages: Float[Tensor, "r w p"], f: int) -> Float[Tensor, "r p"]:
    """Mean of each coordinate without its f smallest and f largest values.

    Raises:
        TurncoatError: if 2f >= w.

    Source: Yin et al. 2018, "Byzantine-robust distributed learning", Definition 2.
    """
    return mean_of_ranks(messages, range(f, messages.shape[1] - f))


@batched(Limit("mean_around_median", 2, 0, XIE))
def mean_around_median(messages: Float[Tensor, "r w p"], f: int) -> Float[Tensor, "r p"]:
    """Mean of the w - f values of each coordinate nearest to its median; of two as near, the lower one.

    Raises:
        TurncoatError: if 2f >= w.

    Source: Xie et al. 2018, "Generalized Byzantine-tolerant SGD", Definition 5.
    """
    return mean_of_nearest(messages, messages.shape[1] - f)
