"""Which data sets there are by name, which files they need, and where those come from."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from turncoat.data import cifar, digits, idx
from turncoat.data.source import Source


class Download(NamedTuple):
    """One file to fetch from the first of ``urls`` that answers; ``members`` are taken from a tar archive.

    Without members the file itself is kept, under the name that stands at the end of its address.
    """

    urls: tuple[str, ...]
    md5: str
    members: tuple[str, ...] = ()


class Collection(NamedTuple):
    """Official files in one folder: ``files`` maps their names to MD5 sums."""

    folder: str
    files: dict[str, str]
    downloads: tuple[Download, ...]


class Entry(NamedTuple):
    """A data set by name: how to read it, from which files, and which classes are kept (none named: all)."""

    read: Callable[[Path], Source]
    collection: Collection | None = None
    kept: tuple[int, ...] = ()


MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
MNIST_FILES = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
CIFAR_10_FILES = {
    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
}
CIFAR_100_FILES = {
    "train.bin": "6172c7755cfe09b2fe270c85cebc1b15",
    "test.bin": "4499cfba6c016c1be1438163640a0898",
}

MNIST = Collection(
    "mnist",
    MNIST_FILES,
    tuple(
        Download(tuple(mirror + name for mirror in MNIST_MIRRORS), md5) for name, md5 in MNIST_FILES.items()
    ),
)
CIFAR_10 = Collection(
    "cifar-10-batches-bin",
    CIFAR_10_FILES,
    (
        Download(
            ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
            "c32a1d4ab5d03f1284b67883e8d873b5",
            tuple(f"cifar-10-batches-bin/{name}" for name in CIFAR_10_FILES),
        ),
    ),
)
CIFAR_100 = Collection(
    "cifar-100-binary",
    CIFAR_100_FILES,
    (
        Download(
            ("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",),
            "03b5dce01913d631647c71ecec9e9cb8",
            tuple(f"cifar-100-binary/{name}" for name in CIFAR_100_FILES),
        ),
    ),
)

CIFAR_10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_FINE_LABELS = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard
lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear
pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal
shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank
telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
CIFAR_100_CLASSES = tuple(_FINE_LABELS.split())


def _digits(_: Path) -> Source:
    return digits.read()


def _cifar_10(folder: Path) -> Source:
    return cifar.read_10(folder, CIFAR_10_CLASSES)


def _cifar_100(folder: Path) -> Source:
    return cifar.read_100(folder, CIFAR_100_CLASSES)


DATASETS: dict[str, Entry] = {
    "digits": Entry(_digits),
    "mnist": Entry(idx.read, MNIST),
    "mnist-01": Entry(idx.read, MNIST, (0, 1)),
    "cifar10": Entry(_cifar_10, CIFAR_10),
    "cifar10-airplane-automobile": Entry(_cifar_10, CIFAR_10, (0, 1)),
    "cifar100": Entry(_cifar_100, CIFAR_100),
}
