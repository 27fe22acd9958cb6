"""The dataset with the attack's labels: what it hands to a loader, and what it refuses before a loader runs."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import turncoat
from turncoat import TurncoatError
from turncoat.attack.worst_flips import Flips

N, CLASSES = 30, 5
Y = torch.arange(N) % CLASSES


def flipped(*indices):
    labels = Y.clone()
    labels[list(indices)] = (labels[list(indices)] + 1) % CLASSES
    return Flips(labels, torch.tensor(indices, dtype=torch.int64), torch.zeros(len(indices)), 0.0, 0.0)


class Items(Dataset):
    """Items made of an input, a label as ``make`` gives it, and something else."""

    def __init__(self, make=int):
        self.make = make

    def __len__(self):
        return N

    def __getitem__(self, index):
        return torch.ones(2) * index, self.make(Y[index]), "extra"


def test_in_a_loader():
    flips = flipped(0, 3, 29)
    poisoned = turncoat.FlippedLabels(TensorDataset(torch.zeros(N, 2), Y), flips)
    seen = torch.cat([labels for _, labels in DataLoader(poisoned, batch_size=7)])
    assert len(poisoned) == N and torch.equal(seen, flips.labels)
    inputs, label, extra = turncoat.FlippedLabels(Items(), flips)[-1]
    assert (inputs[0], label, extra) == (29, int(flips.labels[29]), "extra") and isinstance(label, int)


@pytest.mark.parametrize(
    "make",
    [
        int,
        float,
        bool,
        np.int64,
        np.float32,
        np.uint8,
        lambda y: y,
        lambda y: y.float(),
        lambda y: y.view(1),
        lambda y: np.asarray(y),
    ],
)
def test_a_label_keeps_its_type(make):
    flips = flipped(1, 6)  # both of class 1, which is True as well
    if make is bool:
        flips.labels[[1, 6]] = 0
        items = torch.utils.data.Subset(Items(make), [0, 1, 5, 6])
        flips = Flips(flips.labels[[0, 1, 5, 6]], torch.tensor([1, 3]), torch.zeros(2), 0.0, 0.0)
    else:
        items = Items(make)
    poisoned = turncoat.FlippedLabels(items, flips)
    for place, label in enumerate(flips.labels.tolist()):
        own, new = items[place][1], poisoned[place][1]
        assert type(new) is type(own) and int(new) == label
        assert getattr(new, "dtype", None) == getattr(own, "dtype", None)
        assert getattr(new, "shape", None) == getattr(own, "shape", None)


class Stream(IterableDataset):
    def __iter__(self):
        return iter([])

    def __len__(self):
        return N


class Broken(Items):
    def __getitem__(self, index):
        raise OSError("no such image\nat all")


class Bare(Items):
    def __getitem__(self, index):
        return int(Y[index])


class Named(Items):
    def __getitem__(self, index):
        return {"x": 0.0, "label": int(Y[index])}


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (None, "dataset is None, but must have a length"),
        (3, "dataset is 3"),
        (Stream(), "TensorDataset"),
        (iter([]), "must have a length"),
        (dict.fromkeys(range(1, N + 1), (0.0, 0)), "item 0 of the dataset cannot be read .KeyError: 0."),
        (Broken(), "item 0 of the dataset cannot be read .OSError: no such image."),
        (Bare(), r"item 0 of the dataset is 0, but must be \(input, label\)"),
        (Named(), r"must be \(input, label\)"),
        (Items(lambda y: torch.eye(CLASSES)[y]), r"label of item 0 is of shape \(5,\).* argmax"),
        (Items(lambda y: np.eye(CLASSES)[y]), r"label of item 0 is of shape \(5,\).* argmax"),
        (Items(lambda y: f"class {int(y)}"), "label of item 0 is 'class 0', but must be one class number"),
        (Items(lambda y: 0.3), "label of item 0 is 0.3"),
        (Items(lambda y: float("nan")), "label of item 0 is nan"),
        (Items(lambda y: None), "label of item 0 is None"),
        (TensorDataset(torch.zeros(29, 2), Y[1:]), "29 examples, but the flips are for 30"),
    ],
)
def test_what_is_refused_at_construction(dataset, words):
    with pytest.raises(TurncoatError, match=words) as told:
        turncoat.FlippedLabels(dataset, flipped(0))
    assert "\n" not in str(told.value)


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.parametrize("flips", [None, "optimal", Y, [1, 2], (Y, Y)])
def test_flips_that_are_none(flips):
    with pytest.raises(TurncoatError, match="must be what worst_flips") as told:
        turncoat.FlippedLabels(Items(), flips)
    assert "\n" not in str(told.value)


@pytest.mark.usefixtures("as_users_run")
def test_an_index_is_one_number():
    poisoned = turncoat.FlippedLabels(Items(), flipped(0))
    assert poisoned[np.int64(2)][1] == poisoned[torch.tensor(2)][1] == 2
    for several in ([0, 1], slice(2), "0", None, 1.0, torch.tensor([0, 1])):
        with pytest.raises(TurncoatError, match="must be one whole number"):
            poisoned[several]
    for outside in (N, -N - 1):
        with pytest.raises(IndexError):
            poisoned[outside]
    assert len(list(poisoned)) == N  # a loop over a dataset ends at the first IndexError


def test_flips_for_another_order_of_the_examples():
    shifted = TensorDataset(torch.zeros(N, 2), (Y + 1) % CLASSES)
    with pytest.raises(TurncoatError, match="in the dataset's order"):
        turncoat.FlippedLabels(shifted, flipped(3))
    late = Y.clone()
    late[7] = 0
    poisoned = turncoat.FlippedLabels(TensorDataset(torch.zeros(N, 2), late), flipped(3))
    with pytest.raises(TurncoatError, match="item 7 has label 0, but the flips were chosen where it had 2"):
        poisoned[7]
