"""Rules that shorten messages: around a centre, to a common norm, or to a norm that adapts to f."""

import torch
from jaxtyping import Float
from torch import Tensor

from turncoat.errors import TurncoatError
from turncoat.federation.aggregators.contract import Limit, batched
from turncoat.federation.aggregators.gram import broken_of, combine, norms
from turncoat.federation.aggregators.order import mean_of_ranks, middle


@batched(Limit("centered_clipping", 2, 0, "Karimireddy et al. 2021"))
def centered_clipping(
    messages: Float[Tensor, "r w p"],
    f: int,
    *,
    center: Float[Tensor, "... p"] | None = None,
    radius: float | None = None,
    iterations: int = 3,
) -> Float[Tensor, "r p"]:
    """Move a centre by the mean of the messages' differences from it, each shortened to ``radius``.

    ``center`` is the last round's result, (r, p) or (p) for all replicas; without one it is the coordinate
    median, so that the rule keeps no state. Without a ``radius``, it is the median distance from that centre.
    A broken message counts as no difference.

    Raises:
        TurncoatError: if 2f >= w, or if the centre's shape is not that of one message.

    Source: Karimireddy, He and Jaggi 2021, "Learning from history for Byzantine robust optimization", Algorithm 2.
    """
    r, w, p = messages.shape
    if center is not None and center.shape not in ((p,), (r, p)):
        raise TurncoatError(
            f"centered_clipping: center has shape {tuple(center.shape)}; use ({p},) or ({r}, {p})"
        )
    point = mean_of_ranks(messages, middle(w)) if center is None else center.to(messages).expand(r, p)
    reach = None if radius is None else messages.new_full((r, 1), radius)
    for _ in range(iterations):
        away = messages - point[:, None]
        far = norms(away)
        reach = median_of(far) if reach is None else reach
        factors, broken = shortening(far, reach), broken_of(far)
        if broken is not None:
            factors = factors.masked_fill(broken, 0)
        point = point + combine(factors[:, None] / w, away, broken)[:, 0]
    return point


@batched(Limit("norm_clipping", 2, 0, "Sun et al. 2019; the median norm must be an honest one"))
def norm_clipping(
    messages: Float[Tensor, "r w p"], f: int, *, threshold: float | None = None
) -> Float[Tensor, "r p"]:
    """Mean of the messages, each shortened to a norm of at most ``threshold``, by default their median norm.

    A broken message is shortened to nothing.

    Raises:
        TurncoatError: if 2f >= w.

    Source: Sun et al. 2019, "Can you really backdoor federated learning?", section 4 (norm thresholding).
    """
    lengths = norms(messages)
    broken = broken_of(lengths)
    most = median_of(lengths) if threshold is None else lengths.new_full((len(lengths), 1), threshold)
    weights = shortening(lengths, most) / messages.shape[1]
    if broken is not None:
        weights = weights.masked_fill(broken, 0)
    return combine(weights[:, None], messages, broken)[:, 0]


@batched(Limit("arc", 2, 0, "Allouah et al. 2025"))
def arc(messages: Float[Tensor, "r w p"], f: int) -> Float[Tensor, "r w p"]:
    """Shorten the k = floor(2 f/w (w - f)) longest messages to the norm of the next one; a pre-aggregator.

    Raises:
        TurncoatError: if 2f >= w.

    Source: Allouah et al. 2025, "Adaptive gradient clipping for robust federated learning", Algorithm 2.
    """
    w = messages.shape[1]
    lengths = norms(messages)
    clipped = 2 * f * (w - f) // w
    most = lengths.kthvalue(w - clipped, -1, keepdim=True).values
    shorter = messages * shortening(lengths, most)[..., None]
    broken = broken_of(lengths)
    return shorter if broken is None else shorter.masked_fill(broken[..., None], torch.nan)


def shortening(lengths: Float[Tensor, "r w"], most: Float[Tensor, "r 1"]) -> Float[Tensor, "r w"]:
    """Factors that bring lengths down to ``most`` and leave shorter ones as they are."""
    return (most / lengths).nan_to_num(1.0).clamp_max(1)  # 0 / 0 is a message that is short enough


def median_of(lengths: Float[Tensor, "r w"]) -> Float[Tensor, "r 1"]:
    """Median per replica, the mean of the two middle ones for an even number."""
    ranks = middle(lengths.shape[-1])
    return lengths.sort(-1).values[:, ranks.start : ranks.stop].mean(-1, keepdim=True)
