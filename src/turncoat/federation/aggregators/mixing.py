"""Pre-aggregators that mix messages, so that honest ones differ less before an aggregator sees them."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import embedding_bag

from turncoat.errors import whole
from turncoat.federation.aggregators.contract import Limit, batched
from turncoat.federation.aggregators.gram import combine, geometry, squared_distances

BUCKETING_SEED = 0
"""Seed of the one order in which ``bucketing`` without a generator shuffles the workers, every time anew."""


@batched(Limit("nnm", 2, 0, "Allouah et al. 2023"))
def nnm(messages: Float[Tensor, "r w p"], f: int) -> Float[Tensor, "r w p"]:
    """Replace each message by the mean of its w - f nearest ones, itself among them; a pre-aggregator.

    Raises:
        TurncoatError: if 2f >= w.

    Source: Allouah et al. 2023, "Fixing by mixing", Algorithm 2.
    """
    space = geometry(messages)
    keep = messages.shape[1] - f
    nearest = squared_distances(space).topk(keep, largest=False, sorted=False).indices
    mixed = combine(torch.zeros_like(space.gram).scatter(-1, nearest, 1 / keep), messages, space.broken)
    return mixed if space.broken is None else mixed.masked_fill(space.broken[..., None], torch.nan)


@batched(Limit("bucketing", 2, 0, "Karimireddy et al. 2022"))
def bucketing(
    messages: Float[Tensor, "r w p"], f: int, *, size: int = 2, generator: torch.Generator | None = None
) -> Float[Tensor, "r m p"]:
    """Shuffle the workers and average each ``size`` of them, the last bucket maybe fewer; a pre-aggregator.

    All replicas are shuffled alike. Without a generator the order is the same in every call (seed 0).
    Of the ceil(w / size) messages that come out, up to f are spoilt.

    Raises:
        TurncoatError: if 2f >= w, or if size is not a whole number above 0.

    Source: Karimireddy, He and Jaggi 2022, "Byzantine-robust learning on heterogeneous datasets via bucketing",
    Algorithm 1.
    """
    whole(size, "bucketing: size", least=1)
    source = torch.Generator().manual_seed(BUCKETING_SEED) if generator is None else generator
    order = torch.randperm(messages.shape[1], generator=source).to(messages.device)
    starts = torch.arange(0, messages.shape[1], size, device=messages.device)
    return torch.stack([embedding_bag(order, replica, starts, mode="mean") for replica in messages])
