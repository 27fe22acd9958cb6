"""How visible the attacker is: gradient norms, cosines and label histograms, and how well they tell it apart."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

SIGNS = ("norm", "cosine", "example_norm", "label_shift")
ROUNDS = 100  # rounds of a run that are looked at, evenly spread


def signs(
    messages: Float[Tensor, "r w p"],
    hostile: int,
    example_norms: Float[Tensor, "w r"],
    label_shifts: Float[Tensor, "w r"],
) -> Float[Tensor, "r w s"]:
    """``SIGNS`` of each worker: norm of its message, cosine to the mean of the honest messages, mean per-example
    gradient norm, and how far its label histogram was moved (which no server sees).

    An honest worker is compared with the mean of the *other* honest ones: its own message in the mean would make
    it look closer than any outsider can be.
    """
    norm = messages.norm(dim=2)
    honest = messages.shape[1] - hostile
    total = messages[:, hostile:].sum(1, keepdim=True)
    others = total.expand_as(messages).clone()
    if honest > 1:
        others[:, hostile:] -= messages[:, hostile:]
    tiny = torch.finfo(messages.dtype).tiny
    cosine = (messages * others).sum(2) / (norm * others.norm(dim=2)).clamp(min=tiny)
    return torch.stack([norm, cosine, example_norms.T, label_shifts.T], 2)


def label_shift(new: Integer[Tensor, "m r"], old: Int[Tensor, " m"], classes: int) -> Float[Tensor, " r"]:
    """Total variation between the label histograms of a worker's batch after and before the flips, 0 to 1."""
    before = torch.bincount(old, minlength=classes)
    offset = torch.arange(new.shape[1], device=new.device) * classes
    after = torch.bincount((new.long() + offset).flatten(), minlength=classes * new.shape[1])
    return (after.view(-1, classes) - before).abs().sum(1) / (2 * max(1, len(old)))


def summarise(samples: Float[np.ndarray, "t w s"], hostile: int) -> dict[str, float]:
    """Norm ratios under both readings, ROC-AUC of each sign and of their best linear mix, and the rate caught.

    ``norm_ratio`` compares norms of the workers' mean gradients, ``example_norm_ratio`` means of per-example
    norms. An AUC of 0.5 is a coin, 1 a certainty, whichever way the sign points. ``caught`` is the true-positive
    rate at 1 % false positives of the linear mix, the best logistic regression on the signs of all rounds.
    ``label_shift`` is the mean of the hostile workers' own, in their batches. A sign that nobody measured is NaN.
    """
    from sklearn.metrics import roc_curve

    if not 0 < hostile < samples.shape[1]:
        return {}
    table = samples.reshape(-1, samples.shape[2])
    is_hostile = np.tile(np.arange(samples.shape[1]) < hostile, samples.shape[0])
    measured = ~np.isnan(table).all(0)
    good = np.isfinite(table[:, measured]).all(1) & measured[:2].all()
    table, is_hostile = table[good], is_hostile[good]
    if is_hostile.all() or not is_hostile.any():
        return {}
    ratio = table[is_hostile].mean(0) / np.maximum(table[~is_hostile].mean(0), 1e-30)
    mix = _linear_mix(table[:, :2], is_hostile)
    false, true, _ = roc_curve(is_hostile, mix)
    return {
        "norm_ratio": float(ratio[0]),
        "example_norm_ratio": float(ratio[2]),
        "auc_norm": _auc(is_hostile, table[:, 0]),
        "auc_cosine": _auc(is_hostile, table[:, 1]),
        "auc_linear": _auc(is_hostile, mix),
        "caught_at_1_percent": float(true[false <= 0.01].max()),
        "label_shift": float(table[is_hostile, 3].mean()),
    }


def _auc(is_hostile: np.ndarray, values: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    area = float(roc_auc_score(is_hostile, values))
    return max(area, 1 - area)


def _linear_mix(table: np.ndarray, is_hostile: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression

    scaled = np.column_stack([np.log(np.maximum(table[:, 0], 1e-30)), table[:, 1]])
    scaled = (scaled - scaled.mean(0)) / np.maximum(scaled.std(0), 1e-12)
    values: np.ndarray = LogisticRegression().fit(scaled, is_hostile).decision_function(scaled)
    return values


def looked_at(steps: int) -> Sequence[int]:
    """Which of a run's steps are looked at."""
    return sorted({int(i) for i in np.linspace(0, steps - 1, min(steps, ROUNDS))})
