"""What models say of rows that they have not learned from: out-of-fold probabilities, and labels that they doubt."""

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.model_selection import StratifiedKFold
from torch import Tensor

from turncoat.auditing.setting import Setting
from turncoat.direction import Params
from turncoat.models.stack import Model, take
from turncoat.training.own import Parts, parts_of, train_own

FOLDS = 5


def out_of_fold(setting: Setting, labels: Int[Tensor, "n s"], seed: int = 0) -> Float[np.ndarray, "s n c"]:
    """Probabilities of every row by a model that learned from the other folds, for each labelling; one stack."""
    data = setting.data
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    split = [(torch.from_numpy(a), torch.from_numpy(b)) for a, b in folds.split(data.y, data.y)]
    parts = parts_of([kept for _ in range(labels.shape[1]) for kept, _ in split])
    own = labels.T.repeat_interleave(FOLDS, 0).gather(1, parts.rows)
    params = train_own(data.model, setting.recipe, data.x, own, parts, [seed] * len(parts))
    found = np.empty((labels.shape[1], len(data.y), data.model.classes))
    for number in range(labels.shape[1]):
        for fold, (_, held) in enumerate(split):
            one = replica(data.model, params, number * FOLDS + fold)
            found[number, held.numpy()] = probabilities(data.model, one, data.x[held])
    return found


def replica(model: Model, params: Params, number: int) -> Params:
    """One replica of a stack, as a stack of one."""
    return take(params, torch.tensor([number]), model.replica_axis)


def probabilities(model: Model, params: Params, x: Tensor) -> Float[np.ndarray, "n c"]:
    """Softmax of a stack of one."""
    parts = [
        model.logits(params, x[s : s + model.chunk]).squeeze(2).double().softmax(1)
        for s in range(0, len(x), model.chunk)
    ]
    found: np.ndarray = torch.cat(parts).numpy()
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
