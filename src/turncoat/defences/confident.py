"""Confident learning (Northcutt, Jiang and Chuang 2021), by cleanlab: out-of-fold probabilities contradict a label."""

import importlib.util
import warnings
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from turncoat.errors import TurncoatError

OutOfFold = Callable[[Tensor], Tensor]
"""``out_of_fold(labels (n, r)) -> probabilities (r, n, c)`` by models that learned from the other folds."""


def is_installed() -> bool:
    """Whether there is a cleanlab."""
    return importlib.util.find_spec("cleanlab") is not None


def check_installed() -> None:
    """Accept a machine with cleanlab.

    Raises:
        TurncoatError: if there is none.
    """
    if not is_installed():
        raise TurncoatError("defence 'confident' needs cleanlab: pip install 'turncoat[labels]'")


def trusted(labels: Integer[Tensor, "n r"], out_of_fold: OutOfFold) -> Bool[Tensor, "n r"]:
    """Which labels confident learning does not take for wrong, per replica."""
    chances = out_of_fold(labels).double().numpy(force=True)
    given = labels.T.numpy(force=True)
    issues = [label_issues(own, chance) for own, chance in zip(given, chances, strict=True)]
    return torch.from_numpy(~np.stack(issues, 1)).to(labels.device)


def label_issues(
    labels: Integer[np.ndarray, " n"], chances: Float[np.ndarray, "n c"]
) -> Bool[np.ndarray, " n"]:
    """Which labels cleanlab takes for wrong, by out-of-fold probabilities of their rows.

    It wants every class among the labels, and a class may have lost all of its own: such are left out.
    """
    from cleanlab.filter import find_label_issues

    there, number = np.unique(labels, return_inverse=True)
    if len(there) < 2:
        return np.zeros(len(labels), dtype=bool)
    some = chances[:, there].clip(min=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: np.ndarray = find_label_issues(number, some / some.sum(1, keepdims=True), n_jobs=1)
    return found
