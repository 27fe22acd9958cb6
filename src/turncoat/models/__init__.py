"""Stacks of replicas: many models of one architecture that train together on the same inputs."""

from collections.abc import Callable
from functools import partial

from turncoat import errors
from turncoat.data.dataset import Dataset
from turncoat.models.factory import factory
from turncoat.models.logistic import logistic
from turncoat.models.mlp import mlp
from turncoat.models.module import module_stack
from turncoat.models.stack import Model
from turncoat.models.vit import SIZES, VisionTransformer

__all__ = ["MODELS", "Model", "build"]

FEW = 3  # examples on which a module is tried


def _vit(name: str, data: Dataset) -> Model:
    make = partial(VisionTransformer, data.shape, data.classes, SIZES[name])
    return module_stack(name, make, data.x[:FEW], data.shape, data.classes)


MODELS: dict[str, Callable[[Dataset], Model]] = {
    "logistic": lambda data: logistic(data.d, data.classes),
    "mlp": lambda data: mlp(data.d, data.classes),
} | {name: partial(_vit, name) for name in SIZES}

FORMS = ("mlp:HIDDEN", "MODULE:CALLABLE")  # what may be typed beside those names


def build(name: str, data: Dataset) -> Model:
    """The stack of that name for this data's shape.

    A name of ``MODELS``; ``mlp:64`` for another hidden width; or ``mypkg.nets:make``, a factory of one's own
    (see ``factory``).

    Raises:
        TurncoatError: for an unknown name, or a factory's module that does not fit.
    """
    family, colon, option = name.partition(":") if isinstance(name, str) else ("", "", "")
    if not colon:
        return MODELS[errors.choose(name, (*MODELS, *FORMS), "model")](data)
    if family == "mlp":
        return mlp(data.d, data.classes, _width(name, option))
    if family in MODELS:
        raise errors.TurncoatError(f"model {name!r}: {family!r} has no options; write {family!r} alone")
    return module_stack(name, factory(name, data), data.x[:FEW], data.shape, data.classes)


def _width(name: str, option: str) -> int:
    if not option.isdecimal() or int(option) < 1:
        raise errors.TurncoatError(
            f"model {name!r}: the hidden width must be a whole number, 1 or more, as in 'mlp:256'"
        )
    return int(option)
