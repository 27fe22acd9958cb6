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
        ("networks:batch_norm", "BatchNorm1d"),
        ("networks:dropout", "dropout 0.2"),
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
