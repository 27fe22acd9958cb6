"""Confident learning (Northcutt, Jiang and Chuang 2021), by cleanlab: out-of-fold probabilities contradict a label."""

import importlib.util
import warnings
from collections.abc import Callable

import torch
from jaxtyping import Bool, Integer
from torch import Tensor

from turncoat.errors import TurncoatError

OutOfFold = Callable[[Tensor], Tensor]
"""``out_of_fold(labels (n, r)) -> probabilities (r, n, c)`` by models that learned from the other folds."""


def check_installed() -> None:
    """Accept a machine with cleanlab.

    Raises:
        TurncoatError: if there is none.
    """
    if importlib.util.find_spec("cleanlab") is None:
        raise TurncoatError("defence 'confident' needs cleanlab: pip install 'turncoat[labels]'")


def trusted(labels: Integer[Tensor, "n r"], out_of_fold: OutOfFold) -> Bool[Tensor, "n r"]:
    """Which labels confident learning does not take for wrong, per replica."""
    from cleanlab.filter import find_label_issues

    chances = out_of_fold(labels)
    kept = torch.ones_like(labels, dtype=torch.bool)
    for column in range(labels.shape[1]):
        own, chance = labels[:, column].long(), chances[column]
        there = torch.unique(
            own
        )  # cleanlab wants every class among the labels; a class may have lost all of its own
        if len(there) < 2:
            continue
        number = torch.zeros(chance.shape[1], dtype=torch.int64)
        number[there] = torch.arange(len(there))
        some = chance[:, there].clamp(min=1e-12)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            issues = find_label_issues(
                number[own].numpy(), (some / some.sum(1, keepdim=True)).double().numpy(), n_jobs=1
            )
        kept[:, column] = torch.from_numpy(~issues)
    return kept
