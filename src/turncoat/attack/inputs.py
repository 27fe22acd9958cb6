"""What a module takes: a tensor, several in a tuple, or several by name, each with one row per example."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, SequentialSampler

from turncoat.errors import TurncoatError, reason, shown

Inputs = Tensor | tuple[Tensor, ...] | dict[str, Tensor]


def checked(x: object) -> Inputs:
    """The examples; a list of tensors is taken for a tuple.

    Raises:
        TurncoatError: if they are no dense tensors of real numbers, each with the same number of rows.
    """
    made: Inputs
    if isinstance(x, Tensor):
        made = x
    elif isinstance(x, tuple | list) and x and all(isinstance(part, Tensor) for part in x):
        made = tuple(x)
    elif isinstance(x, Mapping) and x and all(isinstance(part, Tensor) for part in x.values()):
        made = {_keyword(name): part for name, part in x.items()}
    else:
        raise TurncoatError(
            f"x is of type {type(x).__name__}, but must be a tensor, torch.as_tensor(x), a tuple or dict of tensors, or"
            " a DataLoader"
        )
    for name, part in leaves(made):
        if part.ndim == 0 or part.layout != torch.strided or part.is_complex():
            raise TurncoatError(
                f"{name} is {shown(part)}, but must be a dense tensor of real numbers with one row per example"
            )
        if len(part) != size(made):
            raise TurncoatError(
                f"{name} has {len(part)} rows, the first part of x {size(made)}, but all need one row per example"
            )
    return made


def _keyword(name: object) -> str:
    if not isinstance(name, str) or not name.isidentifier():
        raise TurncoatError(f"x has the key {shown(name)}, but keys must be names of the module's arguments")
    return name


def leaves(x: Inputs) -> list[tuple[str, Tensor]]:
    """Every tensor of the examples, as a message names it."""
    if isinstance(x, Tensor):
        return [("x", x)]
    return [(f"x[{name!r}]", part) for name, part in (x.items() if isinstance(x, dict) else enumerate(x))]


def size(x: Inputs) -> int:
    """The number of examples."""
    return len(leaves(x)[0][1])


def take(x: Inputs, rows: Tensor | slice, device: torch.device) -> Inputs:
    """Some of the examples, on a device."""

    def part(values: Tensor) -> Tensor:
        index = rows.to(values.device) if isinstance(rows, Tensor) else rows
        return values[index].to(device)

    if isinstance(x, Tensor):
        return part(x)
    if isinstance(x, dict):
        return {name: part(values) for name, values in x.items()}
    return tuple(part(values) for values in x)


def arguments(x: Inputs) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """How a module is called with the examples."""
    if isinstance(x, dict):
        return (), x
    return (x if isinstance(x, tuple) else (x,)), {}


def shapes(x: Inputs) -> str:
    """One example's shape, or shapes, as a message shows them."""
    return ", ".join(str(tuple(part.shape[1:])) for _, part in leaves(x))


def read(loader: DataLoader) -> tuple[Inputs, Tensor]:
    """Inputs and labels of all of a loader's (input, label, ...) batches, drawn once and held in memory.

    Raises:
        TurncoatError: if its order is not the dataset's, so that flips could not be laid back on it, or its batches
            are no such pairs of tensors.
    """
    _refuse_disorder(loader)
    found = [_pair(batch) for batch in _drawn(loader)]
    if not found:
        raise TurncoatError("no examples given: the DataLoader is empty")
    try:
        return _joined([batch for batch, _ in found]), torch.cat([labels for _, labels in found])
    except (RuntimeError, KeyError, IndexError, TypeError) as error:
        raise TurncoatError(f"the DataLoader's batches do not fit together ({reason(error)})") from error


def _joined(batches: list[Any]) -> Inputs:
    first = batches[0]
    if isinstance(first, dict):
        return {name: torch.cat([batch[name] for batch in batches]) for name in first}
    if isinstance(first, tuple):
        return tuple(torch.cat([batch[i] for batch in batches]) for i in range(len(first)))
    return torch.cat(batches)


def _drawn(loader: Iterable[Any]) -> Iterator[Any]:
    try:
        yield from loader
    except Exception as error:
        raise TurncoatError(f"the DataLoader fails ({reason(error)})") from error


def _refuse_disorder(loader: DataLoader) -> None:
    wanted = "give DataLoader(dataset, batch_size=..., shuffle=False, drop_last=False); FlippedLabels may be shuffled"
    if isinstance(loader.dataset, IterableDataset):
        raise TurncoatError(
            "the DataLoader's dataset has no fixed order (IterableDataset), so flips could not be laid back on it: give"
            " one with items by index"
        )
    batches = loader.batch_sampler
    if batches is None or type(batches) is BatchSampler:
        order = loader.sampler if batches is None else batches.sampler
        if type(order) is SequentialSampler and not getattr(batches, "drop_last", False):
            return
        told = "drops the last batch" if type(order) is SequentialSampler else f"has a {type(order).__name__}"
    else:
        told = f"has a {type(batches).__name__}"
    raise TurncoatError(f"the DataLoader {told}, so flips could not be laid back on its dataset: {wanted}")


def _pair(batch: object) -> tuple[Inputs, Tensor]:
    if not isinstance(batch, tuple | list) or len(batch) < 2 or not isinstance(batch[1], Tensor):
        raise TurncoatError(
            f"a batch of the DataLoader is {shown(batch)}, but must be (inputs, labels), both of tensors"
        )
    inputs, labels = checked(batch[0]), batch[1]
    if labels.ndim == 0 or len(labels) != size(inputs):
        raise TurncoatError(
            f"a batch of the DataLoader has {size(inputs)} inputs and labels of shape {tuple(labels.shape)}: give one"
            " row each"
        )
    return inputs, labels
