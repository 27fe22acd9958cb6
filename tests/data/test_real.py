"""The official files themselves, where TURNCOAT_DATA has them."""

import pytest
import torch

from real_data import is_there
from turncoat.data import catalogue, load, verify


def needs(name):
    if not is_there(name):
        pytest.skip(f"TURNCOAT_DATA is not set, or lacks files of {name}")


@pytest.mark.parametrize(
    ("name", "n", "m", "classes", "shape"),
    [
        ("mnist", 60_000, 10_000, 10, (1, 28, 28)),
        ("mnist-01", 12_665, 2_115, 2, (1, 28, 28)),
        ("cifar10-airplane-automobile", 10_000, 2_000, 2, (3, 32, 32)),
        ("cifar100", 50_000, 10_000, 100, (3, 32, 32)),
    ],
)
def test_official_counts(name, n, m, classes, shape):
    needs(name)
    verify(name)
    made = load(name, fetch=False)
    assert (made.n, len(made.y_test), made.classes, made.shape) == (n, m, classes, shape)
    assert (made.x.min(), made.x.max()) == (0, 1)
    assert len(made.class_names) == classes
    if not name.startswith("mnist"):
        assert len(set(torch.bincount(made.y_test).tolist())) == 1


def test_cifar_10_classes_are_those_of_its_subset():
    needs("cifar10")
    full = catalogue.DATASETS["cifar10"].read(catalogue_folder("cifar10"))
    pair = load("cifar10-airplane-automobile", "raw")
    assert pair.class_names == ("airplane", "automobile")
    assert (pair.x[pair.y == 1].numpy() == full.x[full.y == 1]).all()


def catalogue_folder(name):
    from turncoat.data.download import folder_of_data

    return folder_of_data() / catalogue.DATASETS[name].collection.folder
