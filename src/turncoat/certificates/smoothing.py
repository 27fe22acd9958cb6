"""Randomized smoothing over labels for a least-squares classifier, without sampling (Rosenfeld et al. 2020).

The certified classifier g answers what the base classifier would most probably answer if every training label were
kept with probability 1 - q and otherwise replaced by one of the other classes at random. The base classifier fits
one-hot labels by ridge regression and answers the largest score: score c of an example is Σ_i α_i [label i is c],
with weights α that depend on features alone. All probabilities here are over that noise.

**Who wins.** For a class A let δ bound the probability that A is not the answer: P(not A) ≤ Σ_B P(score A ≤ score B),
each bounded by Chernoff, E exp(-t (score A - score B)), a product over the training rows. δ < 1/2 makes A the
answer of g, however many classes there are; where no A has such a δ, the procedure abstains.

**How far.** Changing r labels moves the noise's distribution P to P'. The event "not A" that gains most gathers the
outcomes with the largest P'/P first (Neyman and Pearson 1933), and that ratio is ρ^W, ρ = (1-q)(C-1)/q, W the
number of changed rows whose noisy label is the new one, less those where it is the old one. So with r* the smallest
P-probability of such an event of P'-probability 1/2, δ < r* leaves A the answer of g under every r changes: a
statement for any number of classes, about P' (A) > 1/2, not about the runner-up. It is never weaker than the
closed form in the paper, which bounds the same by a divergence.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.certificates.certificate import ABSTAINS
from turncoat.certificates.ensemble import Progress
from turncoat.voting import Election

RIDGE = 1e-2  # times the mean square of a feature
TILTS = tuple(2.0 ** (k / 2) for k in range(-3, 4))  # of Chernoff's t, around the best of a normal variable
CELLS = 1 << 24  # of examples times rows that are looked at together


def smoothed(
    x: Float[Tensor, "n d"],
    y: Int[Tensor, " n"],
    x_test: Float[Tensor, "t d"],
    classes: int,
    noise: float,
    progress: Progress | None = None,
) -> Election:
    """Answers of g and their radii; an example whose answer is not sure abstains, with radius 0."""
    into = _weights_of_rows(x)
    predictions, logs = [], []
    for some in _with_bias(x_test).split(max(1, CELLS // len(x))):
        winner, log_delta = log_doubt(some @ into, y, classes, noise)
        predictions.append(winner)
        logs.append(log_delta)
        if progress is not None:
            progress(sum(map(len, logs)), len(x_test))
    doubt = torch.cat(logs)
    sure = doubt < math.log(0.5)
    return Election(
        torch.cat(predictions).where(sure, ABSTAINS), radii(doubt, classes, noise, len(x)).where(sure, 0)
    )


def log_doubt(
    alpha: Float[Tensor, "t n"], y: Int[Tensor, " n"], classes: int, noise: float
) -> tuple[Int[Tensor, " t"], Float[Tensor, " t"]]:
    """The class with the largest mean score, and the logarithm of a bound on how probably it is not the answer."""
    of_class = torch.nn.functional.one_hot(y, classes).to(alpha)
    totals = alpha @ of_class
    winner = totals.argmax(1)
    other = noise / (classes - 1)
    gaps = totals.gather(1, winner.unsqueeze(1)) - totals
    nearest = gaps.scatter(1, winner.unsqueeze(1), torch.inf).amin(1) * (1 - noise - other)
    spread = alpha.square().sum(1).clamp(min=1e-300) * _variance(noise, other)
    bounds = torch.zeros_like(totals)
    for tilt in TILTS:
        bound = _chernoff(alpha * (tilt * nearest / spread).unsqueeze(1), of_class, winner, noise, other)
        bounds = torch.minimum(bounds, bound)
    return winner, bounds.scatter(1, winner.unsqueeze(1), -torch.inf).logsumexp(1)


def _chernoff(
    tilted: Float[Tensor, "t n"],
    of_class: Float[Tensor, "n c"],
    winner: Int[Tensor, " t"],
    noise: float,
    other: float,
) -> Float[Tensor, "t c"]:
    """log E exp(-t (score A - score B)) for each rival B; rows of A, of B and of a third class differ."""
    up, down = tilted.exp(), (-tilted).exp()
    own = torch.log((1 - noise) * down + other * up + (noise - other)) @ of_class
    rivals = torch.log((1 - noise) * up + other * down + (noise - other)) @ of_class
    third = torch.log(other * (up + down) + (1 - 2 * other)) @ of_class
    index = winner.unsqueeze(1)
    rest = third.sum(1, keepdim=True) - third.gather(1, index) - third
    return own.gather(1, index) + rivals + rest


def radii(log_delta: Float[Tensor, " t"], classes: int, noise: float, most: int) -> Int[Tensor, " t"]:
    """The largest number of flips, at most ``most``, at which each doubt is still too small to matter."""
    lowest = float(log_delta.min())
    limits = [math.log(0.5)]
    other = noise / (classes - 1)
    step = torch.tensor([other, noise - other, 1 - noise], dtype=torch.float64)
    walked = torch.ones(1, dtype=torch.float64)
    while limits[-1] > lowest and len(limits) <= most:
        walked = torch.nn.functional.conv1d(
            walked.view(1, 1, -1), step.flip(0).view(1, 1, -1), padding=2
        ).flatten()
        limits.append(_limit(walked, math.log((1 - noise) / other)))
    # limits fall as flips rise
    falling = -torch.tensor(limits, dtype=torch.float64)
    return (torch.searchsorted(falling, -log_delta.double()) - 1).clamp(min=0)


def _limit(walked: Float[Tensor, " w"], log_ratio: float) -> float:
    """log of the least probability before the flips of an event that has probability 1/2 after them.

    ``walked`` are the probabilities of W after the flips, from -r to r.
    """
    flips = len(walked) // 2
    down = walked.flip(0)
    above = down.cumsum(0)
    taken = torch.minimum(down, (0.5 - (above - down)).clamp(min=0))
    places = torch.arange(flips, -flips - 1, -1, dtype=torch.float64)
    return float((taken.log() - places * log_ratio).logsumexp(0))


def _variance(noise: float, other: float) -> float:
    """Of [label is A] - [label is B] for a row of A, the largest of the three kinds but for very small noise."""
    mean = 1 - noise - other
    return max(1 - noise + other - mean**2, 2 * other)


def _weights_of_rows(x: Float[Tensor, "n d"]) -> Float[Tensor, "d1 n"]:
    """(XᵀX + λI)⁻¹ Xᵀ."""
    rows = _with_bias(x)
    square = rows.T @ rows
    square.diagonal().add_(RIDGE * float(square.diagonal().mean()))
    into: Tensor = torch.linalg.solve(square, rows.T)
    return into


def _with_bias(x: Float[Tensor, "t d"]) -> Float[Tensor, "t d1"]:
    return torch.nn.functional.pad(x.double(), (0, 1), value=1.0)
