"""Names of models, factories of one's own, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from turncoat import TurncoatError, from_arrays, models


@pytest.fixture(autouse=True)
def _factories(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return from_arrays(rng.normal(size=(30, 1, 8, 8)), np.arange(30) % 3)


def test_every_name_builds(data):
    for name in (*models.MODELS, "mlp:5"):
        model = models.build(name, data)
        assert model.classes == 3
        logits = model.logits(model.init(torch.Generator().manual_seed(0), 2), model.prepare(data.x[:4]))
        assert logits.shape == (4, 3, 2)
    assert models.build("mlp:5", data).init(torch.Generator(), 1)["weight"].shape == (1, 3, 5)
    assert models.build("mlp", data).init(torch.Generator(), 1)["weight"].shape == (1, 3, 128)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mpl", "did you mean 'mlp'"),
        ("mlp:", "hidden width"),
        ("mlp:0", "hidden width"),
        ("mlp:wide", "hidden width"),
        ("vit:3", "no options"),
        ("networks:", "MODULE:CALLABLE"),
        ("no_such_package.nets:make", "cannot import 'no_such_package.nets'"),
        ("networks:absent", "no attribute 'absent'"),
        ("networks:number", "must be a callable"),
        ("networks:not_a_module", "must return a torch.nn.Module"),
        ("networks:broken", "the factory failed: no weights for ['classes', 'features', 'shape']"),
        ("networks:flat", "fails on examples of shape (1, 8, 8)"),
        ("networks:of_the_batch", "BatchNorm1d without running statistics"),
        ("networks:mixer", "alone and beside others"),
        ("networks:noisy", "asked twice"),
        ("networks:Counter", "writes to its buffers"),
        ("networks:nothing", "no parameters"),
    ],
)
def test_mistakes_are_told_in_one_line(name, words, data):
    with pytest.raises(TurncoatError) as told:
        models.build(name, data)
    assert words in str(told.value)
    assert "\n" not in str(told.value)


def test_the_output_must_be_one_row_of_logits_per_example(data):
    flat = from_arrays(data.x.numpy(), data.y.numpy())
    with pytest.raises(TurncoatError, match=r"gives \(3, 5\) for 3 examples, but must give \(3, 3\)"):
        models.build("networks:flat", flat)


def test_vit_needs_images(data):
    flat = from_arrays(data.x.numpy(), data.y.numpy())
    odd = from_arrays(np.zeros((30, 1, 6, 8)) + np.arange(30)[:, None, None, None], np.arange(30) % 3)
    for wrong in (flat, odd):
        with pytest.raises(TurncoatError, match="multiples of 4"):
            models.build("vit", wrong)


def images(*shape):
    return from_arrays(np.random.default_rng(0).normal(size=(30, *shape)), np.arange(30) % 3)


@pytest.mark.parametrize("shape", [(8, 8), (2, 3), (4,), (3, 4, 5)])
def test_examples_keep_their_shape(shape, monkeypatch):
    seen = []

    class Whole(torch.nn.Module):
        def __init__(self, features, classes):
            super().__init__()
            self.last = torch.nn.Linear(features, classes)

        def forward(self, x):
            seen.append(tuple(x.shape[1:]))
            return self.last(x.flatten(1))

    monkeypatch.setattr("networks.frozen", Whole)
    assert models.build("networks:frozen", images(*shape)).classes == 3
    assert set(seen) == {shape}


def test_the_layout_is_told_to_who_expects_another():
    for name in ("vit", "networks:convolutions"):
        with pytest.raises(TurncoatError, match=r"channels last, .* give numpy.moveaxis\(x, -1, 1\)"):
            models.build(name, images(8, 8, 3))
    with pytest.raises(TurncoatError, match=r"have no axis of channels: give x\[:, None\]"):
        models.build("networks:pixels", images(8, 8))
    with pytest.raises(TurncoatError, match=r"read as \(channels, height, width\): .*moveaxis.* nn.Flatten"):
        models.build("networks:pixels", images(6, 8, 3))
    assert models.build("networks:convolutions", images(3, 8, 8)).classes == 3
    assert models.build("mlp", images(8, 8, 3)).classes == 3  # which takes plain features
