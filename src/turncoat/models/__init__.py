"""Stacks of replicas: many models of one architecture that train together on the same inputs."""

from collections.abc import Callable
from functools import partial

from turncoat import errors, own_code
from turncoat.data.dataset import Dataset
from turncoat.models.cnn import CHANNELS, ConvolutionalNetwork, grouped
from turncoat.models.factory import factory
from turncoat.models.logistic import logistic
from turncoat.models.mlp import mlp
from turncoat.models.module import module_stack
from turncoat.models.stack import Model, shapes
from turncoat.models.vit import SIZES, VisionTransformer
from turncoat.models.vit_scores import with_own_scores

__all__ = ["MODELS", "Model", "build", "coded", "is_own"]

FEW = 3  # examples on which a module is tried


def _mlp(data: Dataset, hidden: int = 128) -> Model:
    return mlp(data.d, data.classes, hidden)


def _cnn(data: Dataset, channels: int = CHANNELS) -> Model:
    name = "cnn" if channels == CHANNELS else f"cnn:{channels}"
    make = partial(ConvolutionalNetwork, data.shape, data.classes, channels)
    return grouped(module_stack(name, make, data.x[:FEW], data.shape, data.classes), channels)


def _vit(name: str, data: Dataset) -> Model:
    make = partial(VisionTransformer, data.shape, data.classes, SIZES[name])
    return with_own_scores(module_stack(name, make, data.x[:FEW], data.shape, data.classes), SIZES[name])


MODELS: dict[str, Callable[[Dataset], Model]] = {
    "logistic": lambda data: logistic(data.d, data.classes),
    "mlp": _mlp,
    "cnn": _cnn,
} | {name: partial(_vit, name) for name in SIZES}

SIZED: dict[str, tuple[str, Callable[[Dataset, int], Model]]] = {
    "mlp": ("the hidden width must be a whole number, 1 or more, as in 'mlp:256'", _mlp),
    "cnn": ("the first convolution's channels must be a whole number, 1 or more, as in 'cnn:16'", _cnn),
}
"""Families that take a size behind a colon, and what it is."""

FORMS = ("mlp:HIDDEN", "cnn:CHANNELS", "MODULE:CALLABLE")  # what may be typed beside those names


def build(name: str, data: Dataset) -> Model:
    """The stack of that name for this data's shape.

    A name of ``MODELS``; ``mlp:64`` or ``cnn:16`` for another width; or ``mypkg.nets:make``, a factory of one's own
    (see ``factory``), with the digest of ``coded`` behind it or without.

    Raises:
        TurncoatError: for an unknown name, a factory's module that does not fit, or code that has another digest.
    """
    family, colon, option = name.partition(":") if isinstance(name, str) else ("", "", "")
    if not colon:
        return MODELS[errors.choose(name, (*MODELS, *FORMS), "model")](data)
    if family in SIZED:
        return SIZED[family][1](data, _size(name, option, SIZED[family][0]))
    if family in MODELS:
        raise errors.TurncoatError(f"model {name!r}: {family!r} has no options; write {family!r} alone")
    model = module_stack(name, factory(name, data), data.x[:FEW], data.shape, data.classes)
    own_code.coded(name, "model", shapes(model))  # refuses a digest of other code
    return model


def coded(name: str, data: Dataset) -> str:
    """The name of a model with the digest of its code behind it, where that is one's own.

    The digest changes with the source and with the names and shapes of the parameters.

    Raises:
        TurncoatError: as ``build``.
    """
    if not is_own(name):
        return name
    return own_code.coded(name, "model", shapes(build(name, data)))


def is_own(name: str) -> bool:
    """Whether a model is a factory of one's own."""
    family, colon, _ = name.partition(":")
    return bool(colon) and family not in MODELS


def _size(name: str, option: str, wanted: str) -> int:
    if not option.isdecimal() or int(option) < 1:
        raise errors.TurncoatError(f"model {name!r}: {wanted}")
    return int(option)
