"""A dataset with the labels that ``worst_flips`` chose, for one's own ``DataLoader``."""

import numbers
import operator
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from turncoat.attack.worst_flips import Flips
from turncoat.errors import TurncoatError, known_arguments, reason, shown


@known_arguments
class FlippedLabels(Dataset):
    """A dataset of (input, label, ...) items with the labels that ``worst_flips`` chose.

    A label is one whole number, of any type (``int``, ``float``, NumPy's, a tensor), and keeps it; where the flips
    are of several labels an example, a row of them.

    Raises:
        TurncoatError: if the lengths differ or the first item is no such pair; when a later item is read, if that
            one is none, or if its own label shows that the flips were chosen for another order of the examples.
    """

    def __init__(self, dataset: Dataset, flips: Flips) -> None:
        if not isinstance(flips, Flips):
            raise TurncoatError(
                f"flips is {shown(flips)}, but must be what worst_flips(model, x, y, flips=...) returns"
            )
        if _length(dataset) is None or isinstance(dataset, IterableDataset):
            raise TurncoatError(
                f"dataset is {shown(dataset)}, but must have a length and (input, label) items: for tensors"
                " torch.utils.data.TensorDataset(x, y)"
            )
        size = _length(dataset)
        if size != len(flips.labels):
            raise TurncoatError(f"the dataset has {size} examples, but the flips are for {len(flips.labels)}")
        self.dataset = dataset
        self.labels: list[list[int]] = flips.labels.reshape(len(flips.labels), -1).long().tolist()
        rows = flips.indices if flips.indices.ndim == 1 else flips.indices[:, 0]
        self.changed: frozenset[int] = frozenset(rows.tolist())
        if size:
            self._try()

    def _try(self) -> None:
        """Read the first item: what is no pair, or no class number, is told here and not by a loader's worker."""
        try:
            self[0]
        except TurncoatError:
            raise
        except Exception as error:
            raise TurncoatError(f"item 0 of the dataset cannot be read ({reason(error)})") from error

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple:
        """The item with its chosen label, of the same type as its own."""
        place = _place(index, len(self))
        item = self.dataset[place]
        if not isinstance(item, tuple | list) or len(item) < 2:
            raise TurncoatError(f"item {place} of the dataset is {shown(item)}, but must be (input, label)")
        x, own, *rest = item
        label = self.labels[place]
        had = _numbers(own, place, len(label))
        if place not in self.changed and had != label:
            raise TurncoatError(
                f"item {place} has label {_told(had)}, but the flips were chosen where it had {_told(label)}: score the"
                " examples in the dataset's order"
            )
        return x, _like(own, label), *rest


def _length(dataset: object) -> int | None:
    try:
        return len(dataset) if hasattr(dataset, "__getitem__") else None  # type: ignore[arg-type]
    except TypeError:
        return None


def _place(index: object, size: int) -> int:
    try:
        place = operator.index(index)  # type: ignore[arg-type]
    except TypeError as error:
        raise TurncoatError(
            f"index is {shown(index)}, but must be one whole number: for several at once give the FlippedLabels"
            " to a DataLoader, or to torch.utils.data.Subset"
        ) from error
    if not -size <= place < size:
        raise IndexError(f"index {place} is outside a dataset of {size} examples")
    return place % size


def _numbers(own: Any, place: int, count: int) -> list[int]:
    """The item's own label, or labels, as plain numbers."""
    values = [own]
    if isinstance(own, Tensor | np.ndarray):
        values = own.reshape(-1).tolist()
    elif count > 1 and isinstance(own, tuple | list):
        values = list(own)
    if len(values) == count and all(isinstance(v, numbers.Real) and float(v).is_integer() for v in values):
        return [round(float(value)) for value in values]
    shape = tuple(getattr(own, "shape", ()))
    came = f"of shape {shape}" if shape else shown(own)
    if count > 1:
        raise TurncoatError(
            f"the label of item {place} is {came}, but must be {count} numbers, as for worst_flips"
        )
    wanted = (
        "of a one-hot label give its argmax(-1)" if shape else "number the classes 0, 1, … as for worst_flips"
    )
    raise TurncoatError(f"the label of item {place} is {came}, but must be one class number: {wanted}")


def _like(own: Any, label: list[int]) -> Any:
    if isinstance(own, Tensor):
        return own.new_tensor(label).reshape(own.shape)
    if isinstance(own, np.ndarray):
        return np.array(label, own.dtype).reshape(own.shape)
    return type(own)(label if isinstance(own, tuple | list) else label[0])


def _told(label: list[int]) -> str:
    return str(label[0] if len(label) == 1 else label)
