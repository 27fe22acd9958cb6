import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from turncoat.data import Dataset, from_arrays
from turncoat.data.checks import require_part
from turncoat.errors import TurncoatError


def arrays(n=40, shape=(3,), classes=4):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, *shape)), np.arange(n) % classes


def parts(**changes):
    x = torch.arange(12.0).reshape(6, 2)
    y = torch.tensor([0, 1, 2, 0, 1, 2])
    given = {"x": x, "y": y, "x_test": x[:2], "y_test": y[:2], "classes": 3, "shape": (2,), "scale": "raw"}
    return {"name": "tiny", **given, **changes}


def test_a_good_data_set_is_taken():
    made = Dataset(**parts(class_names=("a", "b", "c")))
    assert (made.n, made.d) == (6, 2)
    assert "6 training and 2 test examples of shape (2,), 3 classes" in repr(made)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": torch.full((6, 2), torch.nan)}, "tiny, training part: row 0, column 0 is nan"),
        ({"x_test": torch.tensor([[0.0, 1], [2, -torch.inf]])}, "test part: row 1, column 1 is -inf"),
        ({"y": torch.tensor([0, 1, 2, 0, 3, 1])}, r"label 3 in row 4 .* outside 0\.\.2"),
        ({"y_test": torch.tensor([-1, 0])}, r"label -1 in row 0 .* outside 0\.\.2"),
        ({"y": torch.ones(6, dtype=torch.int64)}, "all 6 training labels are 1"),
        ({"shape": (3,)}, r"features are \(6, 2\).*must be \(n, 3\)"),
        ({"x_test": torch.empty(0, 2), "y_test": torch.empty(0, dtype=torch.int64)}, "test part is empty"),
        ({"classes": 1}, "classes is 1"),
        ({"class_names": ("a",)}, "1 class names for 3 classes"),
    ],
)
def test_each_mistake_is_one_clear_line(changes, message):
    with pytest.raises(TurncoatError, match=message) as caught:
        Dataset(**parts(**changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": torch.zeros(12)}, r"features are \(12,\)"),
        ({"y": torch.zeros(5, dtype=torch.int64)}, r"features are \(6, 2\), labels \(5,\)"),
        ({"x": torch.zeros(6, 2, dtype=torch.float64)}, "must be float32 and int64"),
        ({"y": torch.zeros(6)}, "must be float32 and int64"),
    ],
)
def test_wrong_kinds_are_told_where_no_shape_checker_runs(changes, message):
    given = parts(**changes)
    with pytest.raises(TurncoatError, match=message):
        require_part("tiny", given["x"], given["y"], (2,), 3)


def test_fingerprint_follows_contents_and_scale_alone():
    first = Dataset(**parts())
    assert first.fingerprint == Dataset(**parts(name="other")).fingerprint
    assert len(first.fingerprint) == 16
    changed = [
        parts(scale="unit"),
        parts(x=parts()["x"] + 1e-6),
        parts(y=torch.tensor([0, 1, 2, 0, 1, 1])),
        parts(x_test=parts()["x"][1:3]),
        parts(y_test=torch.tensor([0, 2])),
        parts(classes=4),
    ]
    assert len({first.fingerprint} | {Dataset(**one).fingerprint for one in changed}) == 7


def test_fingerprint_is_that_of_the_rows_however_they_are_stored():
    x = parts()["x"]
    turned = x.t().contiguous().t()
    assert not turned.is_contiguous()
    assert Dataset(**parts(x=turned)).fingerprint == Dataset(**parts()).fingerprint


def test_moving_gives_a_new_data_set_of_the_same_contents():
    first = Dataset(**parts())
    known = first.fingerprint
    moved = first.to("cpu")
    assert moved is not first
    assert moved.fingerprint == known
    assert torch.equal(moved.x, first.x)
    assert Dataset(**parts()).to("cpu").fingerprint == known
    with pytest.raises(TurncoatError, match="device 'cuda:99' cannot be used here"):
        first.to("cuda:99")
    with pytest.raises(TurncoatError, match="device 'tpux' cannot be used here"):
        first.to("tpux")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_fingerprint_is_the_same_on_the_gpu():
    moved = Dataset(**parts()).to("cuda")
    assert moved.x.device.type == "cuda"
    assert moved.fingerprint == Dataset(**parts()).fingerprint


def test_it_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Dataset(**parts()).scale = "unit"


def test_split_is_stratified_complete_and_seeded():
    x, y = arrays(n=100)
    made = from_arrays(x, y, test_share=0.2, seed=3)
    assert torch.bincount(made.y).tolist() == [20] * 4
    assert torch.bincount(made.y_test).tolist() == [5] * 4
    rows = torch.cat([made.x, made.x_test]).numpy()
    assert (np.sort(rows[:, 0]) == np.sort(x.astype(np.float32)[:, 0])).all()
    # Every label is still that of its row.
    label_of = {row.tobytes(): label for row, label in zip(x.astype(np.float32), y, strict=True)}
    pairs = zip(rows, torch.cat([made.y, made.y_test]).tolist(), strict=True)
    assert all(label_of[row.tobytes()] == label for row, label in pairs)
    assert made.fingerprint == from_arrays(x, y, test_share=0.2, seed=3).fingerprint
    assert made.fingerprint != from_arrays(x, y, test_share=0.2, seed=4).fingerprint


def test_images_are_flattened_and_come_back():
    x, y = arrays(shape=(3, 4, 5))
    made = from_arrays(x, y, x_test=x[:8], y_test=y[:8])
    assert made.shape == (3, 4, 5)
    assert (made.x.view(-1, *made.shape).numpy() == x.astype(np.float32)).all()
    assert made.y_test.tolist() == y[:8].tolist()


@pytest.mark.parametrize(
    "dtype", [np.bool_, np.uint8, np.uint16, np.int8, np.int64, np.float16, np.float32, ">f4", np.float64]
)
def test_features_of_any_real_type_are_taken(dtype):
    x = np.array([[0, 1], [1, 0], [1, 1], [0, 0]]).astype(dtype)
    made = from_arrays(x, [0, 1, 0, 1], x_test=x, y_test=[0, 1, 0, 1])
    assert made.x.tolist() == x.astype(float).tolist()


def test_read_only_reversed_and_tensor_features_are_taken():
    x, y = arrays()
    fixed = x.astype(np.float32)
    fixed.flags.writeable = False
    expected = from_arrays(x, y).fingerprint
    assert from_arrays(fixed, y).fingerprint == expected
    assert from_arrays(x[::-1][::-1], y).fingerprint == expected
    assert from_arrays(torch.from_numpy(x), torch.from_numpy(y)).fingerprint == expected
    assert from_arrays(x[::-1], y[::-1], x_test=x, y_test=y).x[0].tolist() == fixed[-1].tolist()
    ones = torch.ones(8, 2, dtype=torch.bfloat16)
    assert from_arrays(ones, y[:8], x_test=ones, y_test=y[:8]).x.sum() == 16


def test_string_labels_are_mapped_in_sorted_order():
    x, _ = arrays(n=6)
    y = np.array(["dog", "cat", "dog", "cat", "eel", "eel"])
    made = from_arrays(x, y, x_test=x[:2], y_test=y[1:3])
    assert made.class_names == ("cat", "dog", "eel")
    assert made.y.tolist() == [1, 0, 1, 0, 2, 2]
    assert made.y_test.tolist() == [0, 1]


@pytest.mark.parametrize(
    "kind", [object, "string", "category"], ids=["objects", "pandas strings", "categories"]
)
def test_strings_that_pandas_holds_are_strings(kind):
    words = pd.Series(np.array(["b", "a"])[np.arange(20) % 2]).astype(kind)
    x = np.arange(40.0).reshape(20, 2)
    made = from_arrays(x, words)
    assert made.class_names == ("a", "b")
    assert torch.equal(made.y, from_arrays(x, words.to_list()).y)


@pytest.mark.parametrize("holds", [np.asarray, list, torch.tensor, lambda y: np.asarray(y, dtype=object)])
def test_truths_are_two_classes(holds):
    truths = [i % 3 == 0 for i in range(20)]
    x = np.arange(40.0).reshape(20, 2)
    made = from_arrays(x, holds(truths))
    assert made.class_names == ("False", "True")
    assert torch.equal(made.y, from_arrays(x, np.array(truths, dtype=int)).y)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["a", "b", None] * 8, "label None in row 2 .* is of type NoneType"),
        ([0, "b", 1] * 8, "label 'b' in row 1 .* is of type str"),
        ([1, True, 0] * 8, "label True in row 1 .* is of type bool"),
        ([0, 2.5, 1] * 8, "label 2.5 in row 1 .* is of type float"),
    ],
)
def test_labels_of_several_kinds_are_named(labels, told):
    with pytest.raises(TurncoatError, match=told):
        from_arrays(np.zeros((24, 2)), np.array(labels, dtype=object))


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["a", float("nan")] * 12, "label nan in row 1 .* is of type float"),
        ([1, "a"] * 12, "label 'a' in row 1 .* is of type str"),
    ],
)
def test_lists_of_several_kinds_are_no_strings(labels, told):
    with pytest.raises(TurncoatError, match=told):
        from_arrays(np.zeros((24, 2)), labels)
    assert from_arrays(np.zeros((24, 2)), ["b", "a"] * 12).class_names == ("a", "b")


def test_declared_classes_may_be_absent():
    x, y = arrays(classes=2)
    assert from_arrays(x, y, classes=5).classes == 5


def _with(value, row, column):
    x, _ = arrays()
    x[row, column] = value
    return x


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": _with(np.nan, 7, 2)}, "x: row 7, column 2 is nan"),
        ({"x": _with(np.inf, 39, 0)}, "x: row 39, column 0 is inf"),
        ({"x": np.ones(40)}, r"shape is \(40,\)"),
        ({"x": np.ones((40, 2), complex)}, "complex128"),
        ({"x": np.full((40, 2), "a")}, "must be real numbers"),
        ({"x": [[1, 2], [3]]}, "rows differ in length"),
        ({"x": np.ones((39, 2))}, "39 examples, y 40 labels"),
        ({"x": np.ones((0, 2)), "y": []}, "must be integers|is empty"),
        ({"x": np.ones((40, 0))}, "x is empty"),
        ({"x": np.ma.array(np.ones((40, 2)), mask=np.eye(40, 2))}, "x: 2 values are masked"),
        ({"y": np.ma.array(np.arange(40) % 4, mask=np.arange(40) < 3)}, "y: 3 values are masked"),
        ({"y": np.arange(40).astype(np.uint64) + 2**63}, "label 9223372036854775847 is no class"),
        (
            {"y": np.array([10**30, 0] * 20, dtype=object)},
            "label 1000000000000000000000000000000 is no class",
        ),
        ({"y": np.arange(40) % 4 * 0.5}, "labels are of type float64"),
        ({"y": np.arange(40) % 4 + 1}, "label 4 is the largest, but 0 never occurs"),
        ({"y": np.arange(40) % 4 * 2}, "label 6 is the largest, but 1 never occurs"),
        ({"y": np.arange(40) % 2 * 2 - 1}, "label -1 is negative"),
        ({"y": np.arange(40) % 4, "classes": 3}, r"label 3 in row 3 .* outside 0\.\.2"),
        ({"y": np.zeros((40, 1), int)}, "must be one axis"),
        ({"y": np.zeros(40, int)}, "1 class in 40 labels"),
        ({"y": np.r_[np.zeros(39, int), 1]}, "class '1' has 1 example"),
        ({"classes": 1}, "classes is 1"),
        ({"test_share": 0.05}, "leaves too few"),
        ({"test_share": 0.0}, "test_share is 0.0"),
        ({"test_share": 1.5}, "test_share is 1.5"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**32}, "seed is"),
        ({"scale": "units"}, "did you mean 'unit'"),
        ({"x_test": np.ones((2, 3))}, "x_test came without y_test"),
        ({"y_test": [0, 1]}, "y_test came without x_test"),
        ({"x_test": np.ones((2, 4)), "y_test": [0, 1]}, r"shape \(3,\), of x_test \(4,\)"),
        ({"x_test": np.ones((2, 3)), "y_test": ["a", "b"]}, "both must be of one kind"),
        ({"x_test": np.ones((0, 3)), "y_test": np.zeros(0, int)}, "x_test is empty"),
    ],
)
def test_each_mistake_in_arrays_is_one_clear_line(changes, message):
    x, y = arrays()
    with pytest.raises(TurncoatError, match=message) as caught:
        from_arrays(**{"x": x, "y": y, **changes})
    assert "\n" not in str(caught.value)
