"""Labels that most of an example's nearest neighbours do not share are dropped."""

import torch
from jaxtyping import Bool, Int, Integer
from torch import Tensor

AT_ONCE = 1 << 24  # labels looked up at a time


def neighbours(x: Tensor, count: int) -> Int[Tensor, "n k"]:
    """The ``count`` nearest other rows of each row, by Euclidean distance of the features."""
    from sklearn.neighbors import NearestNeighbors

    flat = x.flatten(1).cpu().numpy()
    index = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(flat)
    found = index.kneighbors(return_distance=False)  # of the rows themselves: none is its own neighbour
    return torch.from_numpy(found).to(x.device)


def agreed(labels: Integer[Tensor, "n r"], near: Int[Tensor, "n k"]) -> Bool[Tensor, "n r"]:
    """Whether at least half of the neighbours carry the same label, in this round."""
    n, replicas = labels.shape
    size = max(1, AT_ONCE // (near.shape[1] * replicas))
    parts = [
        2 * (labels[near[s : s + size]] == labels[s : s + size].unsqueeze(1)).sum(1) >= near.shape[1]
        for s in range(0, n, size)
    ]
    return torch.cat(parts)
