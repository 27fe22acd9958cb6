"""Stacks of replicas: many models of one architecture that train together on the same inputs."""

from collections.abc import Callable

from turncoat import errors
from turncoat.data.dataset import Dataset
from turncoat.models.logistic import logistic
from turncoat.models.stack import Model

__all__ = ["MODELS", "Model", "build"]

MODELS: dict[str, Callable[[Dataset], Model]] = {
    "logistic": lambda data: logistic(data.x.shape[1], data.classes),
}


def build(name: str, data: Dataset) -> Model:
    """The stack of that name for this data's shape.

    Raises:
        TurncoatError: for an unknown name.
    """
    return MODELS[errors.choose(name, MODELS, "model")](data)
