"""What models say of rows that they have not learned from: out-of-fold probabilities, and labels that they doubt."""

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.model_selection import StratifiedKFold
from torch import Tensor

from turncoat.auditing.setting import Setting
from turncoat.training.out_of_fold import out_of_fold
from turncoat.training.own import Parts

FOLDS = 5


def by_stratified_folds(
    setting: Setting, labels: Int[Tensor, "n s"], seed: int = 0
) -> Float[np.ndarray, "s n c"]:
    """Out-of-fold probabilities of every row, for each labelling."""
    data = setting.data
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    split = [(torch.from_numpy(a), torch.from_numpy(b)) for a, b in folds.split(data.y, data.y)]
    found: np.ndarray = out_of_fold(data.model, setting.recipe, data.x, labels, split, seed).double().numpy()
    return found


def doubt(found: Float[np.ndarray, "n c"], labels: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """How much more likely the likeliest other label is than the given one: from -1 to 1, suspicious above 0."""
    given = found[np.arange(len(labels)), labels]
    others = found.copy()
    others[np.arange(len(labels)), labels] = -1.0
    more: np.ndarray = others.max(1) - given
    return more


def all_rows(n: int, replicas: int) -> Parts:
    """Every replica learns from every row."""
    return Parts(torch.arange(n).expand(replicas, -1), torch.full((replicas,), n))
