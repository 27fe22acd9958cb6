"""Heads, inputs and write access of one's own: the flips are the minimum over every labelling, by brute force."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
)  # fmt: skip

import turncoat
from turncoat import TurncoatError
from turncoat.attack.selection import SELECTIONS
from turncoat.errors import EvaluationModeWarning

DOUBLE = torch.float64


def made(outputs, n, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, outputs)).double()
        return net, torch.randn(n, 4, dtype=DOUBLE)


def gradient(net, x, y, loss):
    value = loss(net(x), y)
    found = torch.autograd.grad(value if value.ndim == 0 else value.mean(), list(net.parameters()))
    return torch.cat([g.flatten() for g in found])


def lowest(net, x, y, loss, flips, allowed, classes):
    """The least objective over all labellings with so many changes at most, all where it is allowed."""
    toward, best = -gradient(net, x, y, loss), np.inf
    choices = [
        range(classes) if free else [int(c)] for c, free in zip(y.flatten(), allowed.flatten(), strict=True)
    ]
    for labels in itertools.product(*choices):
        new = torch.tensor(labels).view(y.shape).to(y.dtype)
        if int((new != y).sum()) <= flips:
            best = min(best, -float(gradient(net, x, new, loss) @ toward))
    return best


class Squeezed(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x).squeeze(1)


BINARY = {
    "mean": nn.BCEWithLogitsLoss(),
    "sum": nn.BCEWithLogitsLoss(reduction="sum"),
    "none": nn.BCEWithLogitsLoss(reduction="none"),
    "weighted": nn.BCEWithLogitsLoss(pos_weight=torch.tensor(4.0, dtype=DOUBLE)),
    "weighted sum": nn.BCEWithLogitsLoss(pos_weight=torch.tensor([0.2], dtype=DOUBLE), reduction="sum"),
}


@pytest.mark.parametrize("name", sorted(BINARY))
@pytest.mark.parametrize("squeezed", [True, False])
@pytest.mark.parametrize("flips", [0, 1, 3, 8])
def test_one_logit_by_brute_force(name, squeezed, flips):
    net, x = made(1, 8)
    net = Squeezed(net) if squeezed else net
    y = (torch.arange(8) % 3 == 0).to(DOUBLE).view((8,) if squeezed else (8, 1))
    found = turncoat.worst_flips(net, x, y, flips, loss=BINARY[name])
    best = lowest(net, x, y, BINARY[name], flips, torch.ones_like(y, dtype=torch.bool), 2)
    assert found.alignment_after == pytest.approx(best, rel=1e-9)
    assert found.labels.dtype == y.dtype and found.labels.shape == y.shape
    assert found.indices.tolist() == (found.labels != y).flatten().nonzero().squeeze(1).tolist()
    reached = -gradient(net, x, found.labels, BINARY[name]) @ -gradient(net, x, y, BINARY[name])
    assert found.alignment_after == pytest.approx(float(reached), rel=1e-9)


@pytest.mark.parametrize("kind", [torch.int64, torch.uint8, torch.bool, torch.float32])
def test_binary_labels_of_any_type(kind):
    net, x = made(1, 8)
    y = torch.arange(8) % 3 == 0
    found = turncoat.worst_flips(net, x, y.to(kind), 3, loss=nn.BCEWithLogitsLoss())
    assert found.labels.dtype == kind
    assert torch.equal(
        found.labels.long(), turncoat.worst_flips(net, x, y.long(), 3, loss=BINARY["mean"]).labels
    )


def test_one_logit_is_two_with_one_at_rest():
    """The same flips as cross-entropy of the logits 0 and z."""
    net, x = made(1, 40)
    y = torch.arange(40) % 2

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, rows):
            return torch.cat([torch.zeros(len(rows), 1, dtype=DOUBLE), self.net(rows)], 1)

    one = turncoat.worst_flips(net, x, y, 9, loss=nn.BCEWithLogitsLoss())
    two = turncoat.worst_flips(Two(), x, y, 9)
    assert torch.equal(one.labels, two.labels)
    assert one.alignment_after == pytest.approx(two.alignment_after, rel=1e-9)


MANY = {
    "mean": nn.BCEWithLogitsLoss(),
    "sum": nn.BCEWithLogitsLoss(reduction="sum"),
    "each its own": nn.BCEWithLogitsLoss(pos_weight=torch.tensor([0.2, 1.0, 5.0], dtype=DOUBLE)),
}


@pytest.mark.parametrize("name", sorted(MANY))
@pytest.mark.parametrize("flips", [0, 1, 2, 5, 9])
def test_every_label_of_many_is_a_flip_by_brute_force(name, flips):
    net, x = made(3, 3)
    y = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 1]], dtype=DOUBLE)
    found = turncoat.worst_flips(net, x, y, flips, loss=MANY[name])
    best = lowest(net, x, y, MANY[name], flips, torch.ones_like(y, dtype=torch.bool), 2)
    assert found.alignment_after == pytest.approx(best, rel=1e-9)
    assert found.indices.shape == (len(found.gain), 2)
    assert found.indices.tolist() == (found.labels != y).nonzero().tolist()
    for (row, label), gain in zip(found.indices.tolist(), found.gain, strict=True):
        alone = y.clone()
        alone[row, label] = 1 - alone[row, label]
        change = gradient(net, x, y, MANY[name]) - gradient(net, x, alone, MANY[name])
        assert float(gain) == pytest.approx(-float(change @ gradient(net, x, y, MANY[name])), rel=1e-9)


@pytest.mark.parametrize("rule", sorted(SELECTIONS))
def test_every_rule_on_many_labels_in_chunks(rule, monkeypatch):
    monkeypatch.setattr("turncoat.attack.derivatives.CHUNK", 7)
    net, x = made(3, 30)
    y = (torch.arange(90).view(30, 3) % 4 == 0).float()
    loss = MANY["each its own"]
    flips = turncoat.worst_flips(net, x, y, 11, loss=loss, selection=rule)
    assert int((flips.labels != y).sum()) == len(flips.indices) <= 11
    honest, after = (gradient(net, x, labels.double(), loss) for labels in (y, flips.labels))
    assert flips.alignment_before == pytest.approx(float(honest @ honest), rel=1e-9)
    assert flips.alignment_after == pytest.approx(float(honest @ after), rel=1e-9)


def test_many_labels_in_a_loader():
    net, x = made(3, 30)
    y = (torch.arange(90).view(30, 3) % 4 == 0).float()
    flips = turncoat.worst_flips(net, x, y, 11, loss=MANY["mean"])
    poisoned = turncoat.FlippedLabels(TensorDataset(x, y), flips)
    seen = torch.cat([labels for _, labels in DataLoader(poisoned, batch_size=7)])
    assert torch.equal(seen, flips.labels)
    with pytest.raises(TurncoatError, match=r"label of item 0 is of shape \(2,\), but must be 3 numbers"):
        turncoat.FlippedLabels(TensorDataset(x, y[:, :2]), flips)
    with pytest.raises(TurncoatError, match=r"has label \[.*the flips were chosen where it had \["):
        list(turncoat.FlippedLabels(TensorDataset(x, 1 - y), flips))


def test_training_mode_of_many_labels():
    net, x = made(3, 20)
    net = nn.Sequential(nn.BatchNorm1d(4).double(), net)
    y = (torch.arange(60).view(20, 3) % 4 == 0).double()
    with pytest.warns(EvaluationModeWarning):
        flips = turncoat.worst_flips(net, x, y, 5, loss=MANY["each its own"])
    honest, after = (gradient(net.train(), x, labels, MANY["each its own"]) for labels in (y, flips.labels))
    assert flips.alignment_after_training == pytest.approx(float(honest @ after), rel=1e-9)


CROSS = nn.CrossEntropyLoss(weight=torch.tensor([0.2, 1.0, 5.0], dtype=DOUBLE))
ACCESS = ([1, 4, 5], torch.tensor([5, 1, 4, 1]), np.array([1, 4, 5]), torch.tensor([0, 1, 0, 0, 1, 1]).bool())


@pytest.mark.parametrize("members", ACCESS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), CROSS], ids=["plain", "weighted"])
def test_write_access_by_brute_force(members, loss):
    net, x = made(3, 6)
    y = torch.arange(6) % 3
    allowed = torch.zeros(6, dtype=torch.bool)
    allowed[[1, 4, 5]] = True
    for flips in range(4):
        found = turncoat.worst_flips(net, x, y, flips, loss=loss, members=members)
        assert found.alignment_after == pytest.approx(lowest(net, x, y, loss, flips, allowed, 3), rel=1e-9)
        assert not (found.labels != y)[~allowed].any()
    for rule in SELECTIONS:
        spent = turncoat.worst_flips(net, x, y, 3, loss=loss, members=members, selection=rule)
        assert not (spent.labels != y)[~allowed].any()


def test_write_access_to_rows_and_to_single_labels():
    net, x = made(3, 3)
    y = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 1]], dtype=DOUBLE)
    single = torch.tensor([[1, 0, 0], [0, 1, 1], [0, 0, 1]], dtype=torch.bool)
    rows = torch.tensor([[0, 0, 0], [1, 1, 1], [1, 1, 1]], dtype=torch.bool)
    for members, allowed in ((single, single), ([1, 2], rows), (rows[:, 0], rows)):
        for flips in (1, 3):
            found = turncoat.worst_flips(net, x, y, flips, loss=MANY["mean"], members=members)
            best = lowest(net, x, y, MANY["mean"], flips, allowed, 2)
            assert found.alignment_after == pytest.approx(best, rel=1e-9)


def test_nobody_may_write():
    net, x = made(3, 6)
    flips = turncoat.worst_flips(net, x, torch.arange(6) % 3, 0, members=[])
    assert not len(flips.indices) and flips.alignment_after == flips.alignment_before


class Pair(nn.Module):
    """Takes a table and a number by position or by name."""

    def __init__(self, outputs=3):
        super().__init__()
        self.linear, self.scale = nn.Linear(4, outputs), nn.Linear(1, outputs)

    def forward(self, table, number=None, *, twice=None):
        out = self.linear(table)
        if number is not None:
            out = out * self.scale(number.unsqueeze(1))
        return torch.tanh(out) if twice is None else torch.tanh(out) * 2 * twice.unsqueeze(1)


@pytest.mark.parametrize("rule", ["optimal", "last_layer", "least_likely", "random"])
def test_several_inputs(rule):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net, table, number = Pair().double(), torch.randn(30, 4).double(), torch.rand(30).double()
    y = torch.arange(30) % 3
    for x, call in (
        ((table, number), lambda: net(table, number)),
        ([table], lambda: net(table)),
        ({"table": table, "number": number}, lambda: net(table, number)),
        ({"table": table, "twice": number}, lambda: net(table, twice=number)),
    ):
        flips = turncoat.worst_flips(net, x, y, 7, selection=rule)

        def slope(labels, call=call):
            found = torch.autograd.grad(
                F.cross_entropy(call(), labels), list(net.parameters()), allow_unused=True
            )
            return torch.cat([g.flatten() for g in found if g is not None])

        assert flips.alignment_after == pytest.approx(float(slope(y) @ slope(flips.labels)), rel=1e-9)


class Items(Dataset):
    """Items of the shape that ``make`` gives them, and how often one was read."""

    def __init__(self, x, y, make):
        self.x, self.y, self.make, self.read = x, y, make, 0

    def __len__(self):
        return len(self.y)

    def __getitem__(self, index):
        self.read += 1
        return self.make(self.x[index], self.y[index])


FORMS = {
    "pairs": lambda x, y: (x, y),
    "with something else": lambda x, y: (x, y, "name"),
    "integers": lambda x, y: (x, int(y)),
    "two inputs": lambda x, y: ((x, x[0]), y),
    "by name": lambda x, y: ({"table": x, "number": x[0]}, y),
}


@pytest.mark.parametrize("form", sorted(FORMS))
@pytest.mark.parametrize("batch", [7, 100, None])
def test_a_loader_in_place_of_arrays(form, batch):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net, x = Pair().double(), torch.randn(30, 4).double()
    y = torch.arange(30) % 3
    both = {"two inputs": (x, x[:, 0]), "by name": {"table": x, "number": x[:, 0]}}.get(form, x)
    items = Items(x, y, FORMS[form])
    order = {"batch_size": 7} if batch is None else {"batch_size": batch, "sampler": SequentialSampler(items)}
    found = turncoat.worst_flips(net, DataLoader(items, **order), flips=7)
    known = turncoat.worst_flips(net, both, y, 7)
    assert torch.equal(found.labels, known.labels) and found.alignment_after == known.alignment_after
    assert items.read == 30  # once: what is drawn at random in a dataset is drawn once
    if form != "two inputs" and form != "by name":
        poisoned = turncoat.FlippedLabels(items, found)
        assert [int(poisoned[i][1]) for i in range(30)] == found.labels.tolist()


class Stream(IterableDataset):
    def __iter__(self):
        return iter([])


class Failing(TensorDataset):
    def __getitem__(self, index):
        raise OSError("no image\nhere")


def loaders():
    x, y = torch.randn(20, 4), torch.arange(20) % 3
    data = TensorDataset(x, y)
    ragged = Items(x, y, lambda row, label: (row[: 3 + int(label)], label))
    return {
        "shuffles": (DataLoader(data, shuffle=True), "has a RandomSampler.*shuffle=False"),
        "a subset": (DataLoader(data, sampler=SubsetRandomSampler([1, 2])), "has a SubsetRandomSampler"),
        "random batches": (
            DataLoader(data, batch_sampler=BatchSampler(RandomSampler(data), 4, False)), "has a RandomSampler"
        ),
        "batches of its own": (DataLoader(data, batch_sampler=[[0, 1], [5, 3]]), "has a list"),
        "drops": (DataLoader(data, batch_size=3, drop_last=True), "drops the last batch.*drop_last=False"),
        "a stream": (DataLoader(Stream()), "IterableDataset"),
        "fails": (DataLoader(Failing(x, y)), "the DataLoader fails .OSError: no image"),
        "ragged": (DataLoader(ragged), "do not fit together"),
        "bare": (DataLoader(TensorDataset(x)), "must be .inputs, labels."),
        "words": (DataLoader(Items(x, y, lambda row, label: (row, "a"))), "must be .inputs, labels."),
        "no tensors": (DataLoader(Items(x, y, lambda row, label: ("a", label))), "x is of type"),
        "empty": (DataLoader(TensorDataset(x[:0], y[:0])), "is empty"),
    }  # fmt: skip


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.parametrize("name", sorted(loaders()))
def test_loaders_that_are_refused(name):
    loader, words = loaders()[name]
    told(words, nn.Linear(4, 3), loader, flips=2)


def told(words, *args, **kwargs):
    with pytest.raises(TurncoatError, match=words) as error:
        turncoat.worst_flips(*args, **kwargs)
    assert "\n" not in str(error.value) and len(str(error.value)) < 420


X, Y = torch.randn(8, 4), torch.arange(8) % 2
BCE = nn.BCEWithLogitsLoss()


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.parametrize(
    ("net", "given", "words"),
    [
        (nn.Linear(4, 1), {}, "one logit an example.*give loss=nn.BCEWithLogitsLoss"),
        (
            nn.Linear(4, 3),
            {"loss": BCE},
            r"labels are \(8,\) for 8 examples of 3 binary labels, but must be \(8, 3\)",
        ),
        (nn.Linear(4, 1), {"loss": BCE, "y": Y + 1}, "labels run from 1 to 2, but must be 0 or 1"),
        (nn.Linear(4, 1), {"loss": BCE, "y": Y * 0.5}, "must be 0 or 1"),
        (nn.Linear(4, 1), {"loss": BCE, "y": Y.repeat(2, 1).T}, r"must be \(8,\)"),
        (nn.Unflatten(1, (2, 2)), {"loss": BCE}, "no trainable parameters"),
        (nn.Sequential(nn.Linear(4, 4), nn.Unflatten(1, (2, 2))), {"loss": BCE}, r"\(n, labels\)"),
        (nn.Linear(4, 1), {"loss": nn.BCEWithLogitsLoss(weight=torch.ones(8))}, "give pos_weight"),
        (
            nn.Linear(4, 1),
            {"loss": nn.BCEWithLogitsLoss(pos_weight=torch.ones(3))},
            "one number or one for each of 1",
        ),
        (nn.Linear(4, 1), {"loss": nn.BCEWithLogitsLoss(pos_weight=-torch.ones(1))}, "0 or more"),
        (
            nn.Linear(4, 2),
            {"members": [8]},
            "members is numbers from 8 to 8, but must be row numbers from 0 to 7",
        ),
        (nn.Linear(4, 2), {"members": [-1]}, "numbers from -1 to -1"),
        (nn.Linear(4, 2), {"members": [0.5]}, "members is .0.5., but must be row numbers"),
        (nn.Linear(4, 2), {"members": "all"}, "members is 'all'"),
        (nn.Linear(4, 2), {"members": 3}, "members is 3"),
        (nn.Linear(4, 2), {"members": torch.ones(7, dtype=torch.bool)}, r"a mask of shape \(7,\)"),
        (
            nn.Linear(4, 2),
            {"members": [1, 2]},
            "flips is 3, but there are only 2 examples of the members to flip",
        ),
        (nn.Linear(4, 3), {"loss": BCE, "y": torch.zeros(8, 3), "flips": 25}, "only 24 labels to flip"),
        (nn.Linear(4, 2), {"x": (X, X)}, r"does not take examples of shape \(4,\), \(4,\)"),
        (nn.Linear(4, 2), {"x": (X, X[:5])}, r"x\[1\] has 5 rows, the first part of x 8"),
        (nn.Linear(4, 2), {"x": {"input": X, "more": X}}, "unexpected keyword argument 'more'"),
        (nn.Linear(4, 2), {"x": {3: X}}, "x has the key 3"),
        (nn.Linear(4, 2), {"x": ()}, "a tuple or dict of tensors, or a DataLoader"),
        (nn.Linear(4, 2), {"x": (X, "a")}, "a tuple or dict of tensors"),
        (nn.Linear(4, 2), {"x": (X, torch.tensor(3.0))}, r"x\[1\] is tensor\(3.\)"),
        (nn.Linear(4, 2), {"x": DataLoader(TensorDataset(X, Y))}, "leave y out"),
        (nn.Linear(4, 2), {"y": None}, "y is None, but must be a tensor of labels"),
        (nn.Linear(4, 2), {"flips": None}, "flips is None"),
    ],
)
def test_mistakes_are_told_in_one_line(net, given, words):
    told(words, **({"module": net, "x": X, "y": Y, "flips": 3} | given))
