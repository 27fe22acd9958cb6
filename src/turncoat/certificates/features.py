"""What models see of an example: its features as given, or coordinates learned from all rows without any label.

Labels are all that an attacker can change, so whatever is made of the features alone is out of its reach, and rows
whose labels a small model never sees still say how the data lie (Levine and Feizi 2021, SS-DPA).
"""

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor

from turncoat.data.dataset import Dataset
from turncoat.randomness import generator

DIRECTIONS = 50  # principal directions in which distances are taken
ANCHORS = 1000  # at most, and a quarter of the rows
NEAREST = 5  # anchors that stand for an example
COORDINATES = 60
TIME = 6  # steps of the random walk
ROUNDS = 10  # of Lloyd's algorithm
BLOCK = 8192

Pair = tuple[Float[Tensor, "n k"], Float[Tensor, "t k"]]


def given(x: Float[Tensor, "n d"], x_test: Float[Tensor, "t d"], seed: int) -> Pair:
    """As they are."""
    return x, x_test


def anchors(x: Float[Tensor, "n d"], x_test: Float[Tensor, "t d"], seed: int) -> Pair:
    """Diffusion coordinates (Coifman and Lafon 2006) of the training rows' anchor graph (Liu et al. 2010).

    Rows are near each other if a random walk over shared anchors leads from one to the other; the coordinates are
    that walk's leading eigenvectors, each shrunk by its eigenvalue to the power of the time walked.
    """
    mean, axes = _principal(x)
    x, x_test = (x - mean) @ axes, (x_test - mean) @ axes
    centres = _centres(x, min(ANCHORS, max(NEAREST, len(x) // 4)), seed)
    near, near_test = _weights(x, centres), _weights(x_test, centres)
    mass = near.sum(0).clamp(min=1e-9).sqrt()
    walk = (near.T @ near) / mass / mass.unsqueeze(1)
    values, vectors = torch.linalg.eigh(walk.double())
    values, vectors = values[-COORDINATES:].clamp(min=0), vectors[:, -COORDINATES:]
    into = vectors / mass.unsqueeze(1) * values ** (TIME - 0.5) * len(x) ** 0.5
    return near @ into.to(near), near_test @ into.to(near)


FEATURES = {"given": given, "anchors": anchors}


def usual(dataset: Dataset, model: str) -> str:
    """``anchors`` for images, whose raw pixels say little of what is near, unless a model wants images."""
    any_shape = model.partition(":")[0] in ("logistic", "mlp")
    return "anchors" if len(dataset.shape) > 1 and any_shape else "given"


def _principal(x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, "d k"]]:
    mean = x.mean(0)
    centred = x - mean
    return mean, torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -DIRECTIONS:]


def _centres(x: Float[Tensor, "n d"], count: int, seed: int) -> Float[Tensor, "k d"]:
    """k-means from random rows; sums are added in the rows' order, so that the same rows give the same bits."""
    centres = x[torch.randperm(len(x), generator=generator(seed, "anchors"))[:count].to(x.device)]
    for _ in range(ROUNDS):
        nearest = torch.cat([_nearness(some, centres).argmax(1) for some in x.split(BLOCK)])
        sizes = torch.bincount(nearest, minlength=count).unsqueeze(1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, x)
        centres = torch.where(sizes > 0, sums / sizes.clamp(min=1), centres)
    return centres


def _weights(x: Float[Tensor, "n d"], centres: Float[Tensor, "k d"]) -> Float[Tensor, "n k"]:
    """How much each anchor stands for each row: its nearest alone, by distance, in all 1."""
    found = x.new_zeros(len(x), len(centres))
    for start in range(0, len(x), BLOCK):
        some = x[start : start + BLOCK]
        near, which = _nearness(some, centres).topk(min(NEAREST, len(centres)))
        far = near[:, :1] - near  # half the difference of squared distances to the nearest anchor
        weights = torch.exp(-2 * far / far[:, -1:].clamp(min=1e-9))
        found[start : start + BLOCK].scatter_(1, which, weights / weights.sum(1, keepdim=True))
    return found


def _nearness(x: Float[Tensor, "n d"], centres: Float[Tensor, "k d"]) -> Float[Tensor, "n k"]:
    """Half the squared distance, negated, up to a constant of the row."""
    return torch.addmm(-0.5 * centres.square().sum(1), x, centres.T)


def reshaped(dataset: Dataset, x: Float[Tensor, "n k"], x_test: Float[Tensor, "t k"]) -> Dataset:
    """The data set as models see it with these features."""
    return dataclasses.replace(dataset, x=x, x_test=x_test, shape=(x.shape[1],))
