import functools
import gzip

import numpy as np
import pytest
import torch
from official import CIFAR_10, idx_bytes, write_cifar, write_idx, write_mnist
from sklearn.datasets import load_digits

from turncoat.data import DATASETS, cifar, digits, idx, load
from turncoat.data.split import stratified
from turncoat.errors import TurncoatError


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TURNCOAT_DATA", str(tmp_path))
    return tmp_path


def fails(call, *words):
    with pytest.raises(TurncoatError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


def test_digits_need_no_files_and_are_always_the_same(home):
    made = load("digits", fetch=False)
    assert (made.n, len(made.y_test), made.classes, made.shape, made.scale) == (
        1437,
        360,
        10,
        (1, 8, 8),
        "unit",
    )
    assert made.x.max() == 1
    assert load("digits", "raw").x.max() == 16
    assert made.fingerprint == load("digits").fingerprint
    share = torch.bincount(made.y_test) / torch.bincount(torch.cat([made.y, made.y_test]))
    assert ((share - 0.2).abs() < 0.005).all()
    assert digits.read().x.dtype == np.uint8


def test_digits_are_those_of_scikit_learn():
    given, made = load_digits(), digits.read()
    kept, held_out = stratified(given.target, 0.2, 0, "digits")
    for rows, x, y in ((kept, made.x, made.y), (held_out, made.x_test, made.y_test)):
        np.testing.assert_array_equal(x, given.data[rows])
        np.testing.assert_array_equal(y, given.target[rows])


def test_mnist_files_are_read_as_written(home):
    written = write_mnist(home / "mnist")
    made = load("mnist", "raw", fetch=False)
    assert made.shape == (1, 4, 3)
    assert made.classes == 10
    assert (made.x.view(-1, 4, 3).numpy() == written["train_x"]).all()
    assert (made.x_test.view(-1, 4, 3).numpy() == written["t10k_x"]).all()
    assert (made.y.numpy() == written["train_y"]).all()
    assert (made.y_test.numpy() == written["t10k_y"]).all()
    assert torch.equal(load("mnist", fetch=False).x, made.x / 255)


def test_mnist_01_keeps_zeros_and_ones(home):
    written = write_mnist(home / "mnist")
    made = load("mnist-01", "raw", fetch=False)
    kept = written["train_y"] <= 1
    assert made.classes == 2
    assert made.class_names == ("0", "1")
    assert (made.x.view(-1, 4, 3).numpy() == written["train_x"][kept]).all()
    assert (made.y.numpy() == written["train_y"][kept]).all()


IMAGES = np.zeros((3, 4, 3))
compress = functools.partial(gzip.compress, mtime=0)  # the time would be part of the tests' names
GOOD = compress(idx_bytes(np.random.default_rng(0).integers(0, 256, (30, 4, 3))))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["the file is empty"]),
        (b"hello, this is text", ["not a sound gzip file"]),
        (GOOD[:100], ["truncated"]),
        (GOOD[:60] + b"\xff\xff\xff\xff" + GOOD[64:], ["gzip"]),
        (compress(b""), ["holds 0 bytes", "truncated"]),
        (compress(b"\x00\x00\x08"), ["holds 3 bytes"]),
        (compress(idx_bytes(IMAGES, magic=0x0D03)), ["0x00000d03", "0x00000803"]),
        (compress(idx_bytes(IMAGES)[:-5]), ["(3, 4, 3), 36 bytes, but 31 follow", "truncated"]),
        (compress(idx_bytes(IMAGES) + b"x"), ["but 37 follow", "damaged"]),
        (compress(idx_bytes(IMAGES[:0])), ["(0, 4, 3)"]),
        (compress(b"\x00\x00\x08\x03" + b"\xff" * 12), ["but 0 follow"]),
        (compress(idx_bytes(np.zeros(40))), ["0x00000801", "0x00000803"]),
    ],
)
def test_damaged_idx_files_are_named(home, content, words):
    write_mnist(home / "mnist")
    path = home / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    fails(lambda: load("mnist", fetch=False), str(path), *words)


def test_idx_parts_must_fit_each_other(home):
    folder = home / "mnist"
    write_mnist(folder)
    write_idx(folder / "train-labels-idx1-ubyte.gz", np.arange(39) % 10)
    fails(lambda: idx.read(folder), "39 labels for 40 images")
    write_idx(folder / "train-labels-idx1-ubyte.gz", np.r_[np.zeros(39), 11])
    fails(lambda: idx.read(folder), "label 11 in row 39", "0..9")
    write_mnist(folder)
    write_idx(folder / "t10k-images-idx3-ubyte.gz", np.zeros((20, 5, 3)))
    fails(lambda: idx.read(folder), "(4, 3) in train, (5, 3) in t10k")
    (folder / "train-images-idx3-ubyte.gz").unlink()
    fails(lambda: idx.read(folder), "train-images-idx3-ubyte.gz", "cannot be read")


def test_cifar_10_is_read_channel_by_channel(tmp_path):
    written = [write_cifar(tmp_path / name, 4, (10,), seed) for seed, name in enumerate(CIFAR_10)]
    source = cifar.read_10(tmp_path, (), per_file=4)
    assert (source.x == np.concatenate([x for x, _ in written[:5]])).all()
    assert (source.y == np.concatenate([y[:, 0] for _, y in written[:5]])).all()
    assert (source.x_test == written[5][0]).all()
    assert (source.y_test == written[5][1][:, 0]).all()
    # The official record: 1,024 red, then green, then blue, each in rows of 32.
    record = (tmp_path / CIFAR_10[0]).read_bytes()
    assert source.x[0].reshape(source.shape)[1, 2, 5] == record[1 + 1024 + 2 * 32 + 5]


def test_cifar_100_takes_the_fine_label(tmp_path):
    x, marks = write_cifar(tmp_path / "train.bin", 6, (20, 100), 1)
    x_test, test_marks = write_cifar(tmp_path / "test.bin", 3, (20, 100), 2)
    source = cifar.read_100(tmp_path, (), (6, 3))
    assert (source.x == x).all()
    assert (source.x_test == x_test).all()
    assert source.y.tolist() == marks[:, 1].tolist()
    assert source.y_test.tolist() == test_marks[:, 1].tolist()


def test_damaged_cifar_files_are_named(tmp_path):
    path = tmp_path / "batch.bin"

    def read():
        return cifar.read_records([path], (10,), 4)

    write_cifar(path, 4, (10,))
    good = path.read_bytes()
    for content, words in [
        (b"", ["is empty"]),
        (good[:-1], ["12291 bytes long", "4 records of 3073 bytes are 12292"]),
        (good[:-3073], ["9219 bytes long"]),
        (good + good, ["24584 bytes long"]),
        (good[:3073] + b"\x0a" + good[3074:], ["label 10 in record 1", "0..9"]),
    ]:
        path.write_bytes(content)
        fails(read, str(path), *words)
    path.unlink()
    fails(read, str(path), "cannot be read")
    write_cifar(path, 4, (20, 100))
    content = bytearray(path.read_bytes())
    content[1] = 100
    path.write_bytes(bytes(content))
    fails(lambda: cifar.read_records([path], (20, 100), 4), "label 100 in record 0", "0..99")


def test_a_truncated_official_file_is_told_by_load(home):
    for name in CIFAR_10:
        write_cifar(home / "cifar-10-batches-bin" / name, 4, (10,))
    fails(lambda: load("cifar10", fetch=False), "data_batch_1.bin", "10000 records", "truncated")


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "digits"])
def test_absent_files_are_told_without_the_network(home, name):
    message = fails(lambda: load(name, fetch=False), "is missing", f"turncoat data fetch {name}")
    assert str(home) in message
    assert "TURNCOAT_DATA" in message


def test_wrong_names_and_options_are_told(home):
    fails(lambda: load("mnits"), "unknown data set 'mnits'", "did you mean 'mnist'")
    fails(lambda: load("digits", "unti"), "unknown scale 'unti'", "did you mean 'unit'")
    fails(lambda: load("digits", label="y"), "for your own files")
    fails(lambda: load("digits", seed=3), "for your own files")


def test_classes_can_be_kept_in_any_order(home):
    from turncoat.data.source import only

    source = digits.read()
    kept = only(source, (7, 2))
    assert (kept.x[kept.y == 0] == source.x[source.y == 7]).all()
    assert (kept.x_test[kept.y_test == 1] == source.x_test[source.y_test == 2]).all()
    assert kept.class_names == ("7", "2")
