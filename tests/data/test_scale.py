import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from turncoat import TurncoatError
from turncoat.data import scale
from turncoat.data.scale import SCALES


def table(seed, n=23, m=7, d=5, dtype=np.float64):
    rng = np.random.default_rng(seed)
    x, x_test = rng.normal(3, 10, (n, d)), rng.normal(3, 10, (m, d))
    x[:, 1] = 0.1  # constant in training, not in the test part
    return x.astype(dtype), x_test.astype(dtype)


def apply(name, x, x_test, span=None):
    parts = SCALES[name](torch.from_numpy(x), torch.from_numpy(x_test), span)
    return [part.numpy() for part in parts]


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float32, np.float64])
def test_every_scale_returns_float32_and_changes_nothing(name, dtype):
    x, x_test = (np.abs(part).astype(dtype) for part in table(0))
    before = x.copy(), x_test.copy()
    for span in (None, 255.0):
        for part in apply(name, x, x_test, span):
            assert part.dtype == np.float32
            assert np.isfinite(part).all()
    assert (x == before[0]).all()
    assert (x_test == before[1]).all()


def test_unit_divides_bytes_by_their_range():
    x = np.arange(256, dtype=np.uint8).reshape(64, 4)
    ours, ours_test = apply("unit", x, x[:3], 255.0)
    assert (ours == x.astype(np.float32) / np.float32(255)).all()
    assert (ours_test == ours[:3]).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1, 4, 1 << 20]))
def test_tables_agree_with_scikit_learn(seed, block):
    x, x_test = table(seed)
    moving = [0, 2, 3, 4]
    before, scale.BLOCK = scale.BLOCK, block
    try:
        for name, oracle in (("unit", MinMaxScaler()), ("standard", StandardScaler())):
            ours, ours_test = apply(name, x, x_test)
            oracle.fit(x[:, moving])
            np.testing.assert_allclose(ours[:, moving], oracle.transform(x[:, moving]), rtol=2e-6, atol=1e-6)
            np.testing.assert_allclose(
                ours_test[:, moving], oracle.transform(x_test[:, moving]), rtol=2e-6, atol=1e-6
            )
    finally:
        scale.BLOCK = before


@pytest.mark.parametrize("name", ["unit", "standard"])
def test_constant_features_become_zero_in_both_parts(name):
    for part in apply(name, *table(1)):
        assert (part[:, 1] == 0).all()


def test_large_offsets_keep_their_differences():
    x = 1.7e9 + np.arange(10.0).reshape(10, 1)
    ours, _ = apply("standard", x, x)
    expected = (np.arange(10) - 4.5) / np.arange(10).std()
    np.testing.assert_allclose(ours[:, 0], expected, rtol=1e-6)


def test_columns_stored_first_come_out_in_rows():
    x, x_test = table(2)
    ours = SCALES["standard"](torch.from_numpy(np.asfortranarray(x)), torch.from_numpy(x_test), None)[0]
    assert ours.is_contiguous()
    assert (ours.numpy() == apply("standard", x, x_test)[0]).all()


@pytest.mark.parametrize(
    ("name", "value", "told"), [("standard", 1e300, "no finite variance"), ("raw", 1e39, "float32")]
)
def test_values_beyond_a_scale_are_named(name, value, told):
    x, x_test = table(0)
    x[3, 2] = value
    with pytest.raises(TurncoatError, match=told) as error:
        apply(name, x, x_test)
    assert "feature 2 (counted from 0)" in str(error.value)
    assert np.isfinite(apply("unit", x, x_test)[0]).all()
