"""A data set: flattened features, labels, and what is needed to read them."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from turncoat.data import checks
from turncoat.data.origin import Origin
from turncoat.data.scale import SCALES
from turncoat.data.source import Source
from turncoat.data.split import stratified
from turncoat.errors import TurncoatError, choose, known_arguments, reason, shown, text, whole

TEST_SHARE = 0.2  # held out where data have no test part of their own


@known_arguments
@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Training and test examples; ``shape`` is one example's shape before flattening, channel first.

    Where workers hold the training examples, ``holders`` are their names and ``holder`` the number of each example's.

    Raises:
        TurncoatError: if a part is empty, shapes disagree, features are not finite, or labels are not
            0..classes-1 with at least 2 of them in the training data.
    """

    name: str
    x: Float32[Tensor, "n d"]
    y: Int64[Tensor, " n"]
    x_test: Float32[Tensor, "m d"]
    y_test: Int64[Tensor, " m"]
    classes: int
    shape: tuple[int, ...]
    scale: str
    class_names: tuple[str, ...] = ()
    origin: Origin | None = None  # of a table: its rows, and what became of its columns
    holders: tuple[str, ...] = ()
    holder: Int64[Tensor, " n"] | None = None

    def __post_init__(self) -> None:
        text(self.name, "name")
        whole(self.classes, f"{self.name}: classes", 2)
        text(self.scale, f"{self.name}: scale")
        if not isinstance(self.shape, tuple) or not isinstance(self.class_names, tuple):
            raise TurncoatError(
                f"{self.name}: shape is {shown(self.shape)}, class_names {shown(self.class_names)}, but both must be"
                " tuples"
            )
        for what, x, y in (("training", self.x, self.y), ("test", self.x_test, self.y_test)):
            checks.require_part(f"{self.name}, {what} part", x, y, self.shape, self.classes)
        if bool((self.y == self.y[0]).all()):
            raise TurncoatError(
                f"{self.name}: all {self.n} training labels are {int(self.y[0])}, but at least 2 classes "
                "are needed"
            )
        if self.origin is not None and not isinstance(self.origin, Origin):
            raise TurncoatError(f"{self.name}: origin is {shown(self.origin)}, but only load(file) gives one")
        if self.class_names and len(self.class_names) != self.classes:
            raise TurncoatError(
                f"{self.name}: {len(self.class_names)} class names for {self.classes} classes; give one each"
            )
        self._check_holders()

    def _check_holders(self) -> None:
        if self.holder is None and not self.holders:
            return
        if not isinstance(self.holders, tuple) or not isinstance(self.holder, Tensor):
            raise TurncoatError(f"{self.name}: holders and holder must come together; give both or neither")
        known = range(len(self.holders))
        if len(self.holder) != self.n or set(self.holder.unique().tolist()) != set(known):
            raise TurncoatError(
                f"{self.name}: holder must be a number from 0 to {len(self.holders) - 1} for each of {self.n} training"
                " examples, and every holder have one"
            )

    def __repr__(self) -> str:
        return (
            f"Dataset({self.name!r}: {self.n} training and {len(self.y_test)} test examples of shape "
            f"{self.shape}, {self.classes} classes, {self.scale} scale)"
        )

    @property
    def n(self) -> int:
        """Number of training examples."""
        return len(self.y)

    @property
    def d(self) -> int:
        """Number of features of an example."""
        return self.x.shape[1]

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits of a SHA-256 over contents and scale, the same on every device."""
        header = (tuple(self.x.shape), tuple(self.x_test.shape), self.classes, self.shape, self.scale)
        digest = hashlib.sha256(repr(header).encode())
        for part in (self.x, self.y, self.x_test, self.y_test):
            digest.update(part.contiguous().numpy(force=True).data.cast("B"))
        if self.holder is not None:
            digest.update(repr(self.holders).encode())
            digest.update(self.holder.contiguous().numpy(force=True).data.cast("B"))
        return digest.hexdigest()[:16]

    def to(self, device: str | torch.device) -> "Dataset":
        """Return the same data on ``device``.

        Raises:
            TurncoatError: if there is no such device here.
        """
        names = ("x", "y", "x_test", "y_test")
        try:
            moved = replace(self, **{name: getattr(self, name).to(device) for name in names})
        except (RuntimeError, AssertionError, TypeError, ValueError) as error:
            why = "allowed: cpu; PyTorch finds no CUDA device here"
            if torch.cuda.is_available():  # it may be full, or have another number
                why = f"allowed: cpu, cuda; {reason(error)}"
            raise TurncoatError(f"device {shown(device)} cannot be used here ({why})") from error
        if "fingerprint" in self.__dict__:
            moved.__dict__["fingerprint"] = self.fingerprint
        return moved


def build(source: Source, name: str, scale: str) -> Dataset:
    """Scale what a loader read and make a data set of it.

    Raises:
        TurncoatError: if the scale is unknown, or as for Dataset.
    """
    scaled = SCALES[choose(scale, SCALES, "scale")]
    x, x_test = scaled(torch.from_numpy(source.x), torch.from_numpy(source.x_test), source.span)
    y, y_test = (torch.from_numpy(part.astype(np.int64)) for part in (source.y, source.y_test))
    return Dataset(name, x, y, x_test, y_test, source.classes, source.shape, scale, source.class_names)


def held_by(data: Dataset, workers: np.ndarray, kept: np.ndarray) -> Dataset:
    """The same data, of which workers hold each its own: ``workers`` are their names, of ``kept`` and other rows.

    Raises:
        TurncoatError: if a worker holds nothing but test rows.
    """
    names, numbers = np.unique(workers, return_inverse=True)
    holder = torch.from_numpy(numbers[kept].astype(np.int64))
    empty = sorted(set(range(len(names))) - set(holder.tolist()))
    if empty:
        raise TurncoatError(
            f"{data.name}: all rows of worker {str(names[empty[0]])!r} are held out for testing: give it more, or a"
            " smaller test_share"
        )
    return replace(data, holder=holder, holders=tuple(names.tolist()))


@known_arguments
def from_arrays(
    x: Any,
    y: Any,
    *,
    name: str = "arrays",
    x_test: Any = None,
    y_test: Any = None,
    test_share: float = TEST_SHARE,
    seed: int = 0,
    scale: str = "raw",
    classes: int | None = None,
) -> Dataset:
    """Make a data set of arrays or tensors; ``x`` is (n, d) or (n, *shape), labels are 0..C-1, strings or truths.

    Without a test part, ``test_share`` of the examples is held out, stratified by ``seed``.
    Strings are mapped to 0..C-1 in sorted order and kept as class names.

    Raises:
        TurncoatError: if shapes disagree, a value is not finite, labels are not 0..C-1, or a class is too
            small to be split.
    """
    choose(scale, SCALES, "scale")
    text(name, "name")
    if classes is not None:
        whole(classes, f"{name}: classes", 2)
    if (x_test is None) != (y_test is None):
        absent, given = ("x_test", "y_test") if x_test is None else ("y_test", "x_test")
        raise TurncoatError(f"{name}: {given} came without {absent}; give both or neither")
    if x_test is not None and (test_share, seed) != (TEST_SHARE, 0):
        told = f"test_share is {shown(test_share)}" if test_share != TEST_SHARE else f"seed is {shown(seed)}"
        raise TurncoatError(
            f"{name}: {told}, but the data have a test part of their own, x_test, so it would do nothing: leave it out"
        )
    features, labels, shape = _checked(name, x, y, "")
    if x_test is None:
        kept, held_out = _split(name, labels, classes, test_share, seed)
        parts = (features[kept], labels[kept], features[held_out], labels[held_out])
    else:
        more, more_labels, test_shape = _checked(name, x_test, y_test, "_test")
        if test_shape != shape:
            raise TurncoatError(f"{name}: examples of x have shape {shape}, of x_test {test_shape}")
        parts = (features, labels, more, more_labels)
    return build(_coded(name, parts, shape, classes), name, scale)


def _checked(name: str, x: Any, y: Any, suffix: str) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Return features, labels and one example's shape of one part; features are finite."""
    features, shape = checks.numbers(x, f"{name}, x{suffix}")
    labels = checks.labels(y, f"{name}, y{suffix}")
    if len(features) != len(labels):
        raise TurncoatError(
            f"{name}: x{suffix} has {len(features)} examples, y{suffix} {len(labels)} labels; give one each"
        )
    if not features.size:
        raise TurncoatError(f"{name}: x{suffix} is empty (shape {features.shape})")
    checks.require_finite(features, f"{name}, x{suffix}")
    return features, labels, shape


def _split(
    name: str, labels: np.ndarray, classes: int | None, test_share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    # Wrong labels are told before the split, which would blame the size of their classes.
    if labels.dtype.kind == "i":
        if classes is None:
            checks.count_classes(labels, name)
        else:
            checks.require_labels(torch.from_numpy(labels), classes, name)
    return stratified(labels, test_share, seed, name)


def _coded(
    name: str,
    parts: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    shape: tuple[int, ...],
    classes: int | None,
) -> Source:
    """Put the parts together, with string labels mapped to numbers."""
    x, y, x_test, y_test = parts
    if y.dtype.kind == "i" and y_test.dtype.kind == "i":
        count = checks.count_classes(np.concatenate((y, y_test)), name) if classes is None else classes
        return Source(x, y, x_test, y_test, count, shape)
    if y.dtype.kind != y_test.dtype.kind:
        told = ["integers" if part.dtype.kind == "i" else "strings or truths" for part in (y, y_test)]
        raise TurncoatError(f"{name}: labels y are {told[0]}, y_test {told[1]}; both must be of one kind")
    (y, y_test), names = checks.named_classes(y, y_test)
    if classes is not None and classes != len(names):
        raise TurncoatError(f"{name}: classes is {classes}, but there are {len(names)} different labels")
    return Source(x, y, x_test, y_test, len(names), shape, class_names=names)
