"""What the names of a problem stand for here and now: data and model, as they are trained on."""

import dataclasses
from collections.abc import Callable
from functools import lru_cache

from turncoat import models
from turncoat.data import DATASETS, load
from turncoat.data.dataset import Dataset
from turncoat.errors import TurncoatError
from turncoat.recipe import Recipe
from turncoat.sweep.problem import Problem
from turncoat.training.stability import step_stability
from turncoat.training.stack import Material, material

Source = Callable[[Problem], Dataset]
"""How the data of a problem are had; two that are equal give the same."""


def read(problem: Problem) -> Dataset:
    """The data of a problem.

    Raises:
        TurncoatError: if they can't be had.
    """
    return load(
        problem.dataset,
        problem.scale,
        label=problem.label,
        drop=problem.drop,
        group=problem.group,
        test_share=problem.test_share,
        workers_from=problem.workers_from,
    )


def checked(problem: Problem, fingerprint: str, source: Source = read) -> Dataset:
    """The data of a problem, if they have this fingerprint, or whatever they are where it is empty.

    Raises:
        TurncoatError: if they can't be had, or the file has changed since its fingerprint was taken.
    """
    data = source(problem)
    if fingerprint and data.fingerprint != fingerprint:
        raise TurncoatError(
            f"{problem.dataset} was changed while it was read: type the same command again when it is whole"
        )
    return data


def tell_apart(problem: Problem) -> tuple[Problem, str]:
    """What tells files of one's own from what they were: the model's name with its code, the data's fingerprint.

    The fingerprint is empty for a named data set, whose files are checked by their sums.

    Raises:
        TurncoatError: if the data or the model can't be had.
    """
    if problem.dataset in DATASETS and not models.is_own(problem.model):
        return problem, ""
    data = read(problem)
    fingerprint = "" if problem.dataset in DATASETS else data.fingerprint
    return dataclasses.replace(problem, model=models.coded(problem.model, data)), fingerprint


@lru_cache(maxsize=1)
def prepared(problem: Problem, fingerprint: str, device: str, source: Source) -> Material:
    """The data and model of a problem on a device; kept until another is asked for, or the file has changed.

    Raises:
        TurncoatError: if the data or the model can't be had, or the file has changed since its fingerprint was taken.
    """
    data = checked(problem, fingerprint, source)
    return material(models.build(problem.model, data), data, device)


@lru_cache(maxsize=256)
def stability(problem: Problem, fingerprint: str, recipe: Recipe, device: str, source: Source) -> float:
    """η·λ_max/2 of the clean problem."""
    data = prepared(problem, fingerprint, device, source)
    return step_stability(data.model, recipe, data.x, data.y)
