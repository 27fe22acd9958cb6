"""A defence against label flips alone: cluster what workers send for the two output neurons that move most."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from turncoat.errors import TurncoatError
from turncoat.federation.aggregators.contract import Limit, batched
from turncoat.federation.aggregators.gram import (
    Geometry,
    combine,
    distances_to,
    geometry,
    norms,
    squared_distances,
)

STEPS = 50
"""Most k-means steps; with two clusters of at most some hundred workers a handful is enough."""


@batched(Limit("lfighter", 2, 0, "Jebreel et al. 2024: the honest cluster is the larger one"))
def lfighter(
    messages: Float[Tensor, "r w p"], f: int, *, head: tuple[int, int, int] | None = None
) -> Float[Tensor, "r p"]:
    """Mean of the messages in the better of two clusters of their output-layer rows.

    ``head`` is (offset, classes, width): where in the p parameters the output layer's (classes, width) block
    lies. Its two rows with the largest norms, summed over workers, are clustered by 2-means (from the two
    farthest messages, so that nothing is random). Each cluster counts |cluster| / w times one minus the mean
    over its members of the smallest cosine to a fellow, at most 0: label flippers form the smaller and denser
    one, so the larger figure stays. The paper's memory over rounds is left out, since a rule has no state.

    Raises:
        TurncoatError: if 2f >= w, or if ``head`` is missing or does not fit p.

    Source: Jebreel et al. 2024, "LFighter: Defending against the label-flipping attack in federated learning",
    Algorithm 1.
    """
    rows = _rows(messages, head)
    broken = norms(messages).isinf()  # a mask even if none is: clusters are counted by it
    moved = norms(rows.flatten(1, 2)).unflatten(1, rows.shape[1:3]).masked_fill(broken[..., None], 0).sum(1)
    top = moved.topk(2).indices[:, None, :, None].expand(-1, rows.shape[1], -1, rows.shape[-1])
    features = rows.gather(2, top).flatten(2).masked_fill(broken[..., None], 0)
    first = two_means(features, ~broken)
    clusters = (first, ~first & ~broken)
    figures = [_figure(features, members) for members in clusters]
    kept = torch.where((figures[0] >= figures[1])[:, None], *clusters)
    weights = kept.double() / kept.sum(-1, keepdim=True).clamp_min(1)
    return combine(weights[:, None], messages, broken)[:, 0]


def _rows(messages: Tensor, head: tuple[int, int, int] | None) -> Float[Tensor, "r w c d"]:
    if head is None:
        raise TurncoatError(
            "lfighter must know the output layer: give head=(offset, classes, width), "
            "as in functools.partial(lfighter, head=(0, 10, 785))"
        )
    offset, classes, width = head
    p = messages.shape[-1]
    if min(offset, classes - 2, width - 1) < 0 or offset + classes * width > p:
        raise TurncoatError(
            f"lfighter: head={head!r} does not fit messages of {p} parameters: "
            "give (offset, classes, width) with 2 or more classes and offset + classes * width <= p"
        )
    block: Tensor = messages[..., offset : offset + classes * width]
    return block.reshape(*messages.shape[:2], classes, width)


def two_means(points: Float[Tensor, "r w d"], there: Bool[Tensor, "r w"]) -> Bool[Tensor, "r w"]:
    """Members of the first of two clusters among the points that are there: Lloyd's steps from the farthest two."""
    exact = geometry(points)
    space = Geometry(exact.gram.double(), exact.broken)
    both = there[:, None] & there[..., None]
    apart = squared_distances(space).masked_fill(~both, -1).flatten(1).argmax(-1)
    w = points.shape[1]
    seeds = torch.stack([apart // w, apart % w], -1)
    weights = torch.nn.functional.one_hot(seeds, w).double().unbind(1)
    first = torch.zeros_like(there)
    for _ in range(STEPS):
        before, first = first, there & (distances_to(space, weights[0]) <= distances_to(space, weights[1]))
        members = torch.stack([first, there & ~first], 1).double()
        weights = (members / members.sum(-1, keepdim=True).clamp_min(1)).unbind(1)
        if torch.equal(before, first):
            break
    return first


def _figure(features: Tensor, members: Tensor) -> Tensor:
    lengths = torch.linalg.vector_norm(features, dim=-1, keepdim=True)
    units = features / lengths.clamp_min(torch.finfo(features.dtype).tiny)
    cosines = units @ units.mT
    cosines.diagonal(dim1=1, dim2=2).zero_()
    smallest = cosines.masked_fill(~members[:, None], 0).amin(-1)
    spread = torch.where(members, 1 - smallest, 0).sum(-1)  # |cluster| times one minus the mean
    return spread / members.shape[-1]
