import numpy as np
import pandas as pd
import pytest

from turncoat.data import from_arrays, load
from turncoat.data.split import stratified
from turncoat.errors import TurncoatError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(30, 3)), np.arange(30) % 3
TABLE = pd.DataFrame(X, columns=["width", "height", "weight"]).assign(kind=np.array(["b", "a", "c"])[Y])


def write(path, frame):
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    return path


def fails(path, *words, **options):
    with pytest.raises(TurncoatError) as caught:
        load(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


@pytest.fixture(params=[".csv", ".parquet"])
def table(request, tmp_path):
    return tmp_path / f"mine{request.param}"


def test_npz_agrees_with_the_arrays(tmp_path):
    np.savez(tmp_path / "mine.npz", x=X, y=Y)
    made = load(tmp_path / "mine.npz", "raw", test_share=0.3, seed=5)
    assert made.fingerprint == from_arrays(X, Y, test_share=0.3, seed=5).fingerprint
    assert made.name == "mine.npz"
    images = RNG.integers(0, 256, (30, 3, 4, 4), dtype=np.uint8)
    np.savez_compressed(tmp_path / "images.npz", x=images, y=Y, x_test=images[:5], y_test=Y[:5])
    made = load(str(tmp_path / "images.npz"), "raw")
    assert made.shape == (3, 4, 4)
    assert (made.x.numpy() == images.reshape(30, -1)).all()
    assert (made.x_test.numpy() == images[:5].reshape(5, -1)).all()


def test_a_share_for_testing_is_refused_where_there_is_a_test_part(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, x=X, y=Y, x_test=X[:9], y_test=Y[:9])
    fails(path, "test_share is 0.3", "leave it out", test_share=0.3)
    fails(path, "seed is 4", "leave it out", seed=4)
    assert len(load(path).y_test) == 9


def test_npz_with_string_labels(tmp_path):
    np.savez(tmp_path / "mine.npz", x=X, y=TABLE.kind.to_numpy(dtype=str))
    assert load(tmp_path / "mine.npz").class_names == ("a", "b", "c")


def test_own_files_use_the_range_of_the_training_data(tmp_path):
    np.savez(tmp_path / "mine.npz", x=X, y=Y)
    made = load(tmp_path / "mine.npz")
    assert made.x.amin(0).tolist() == [0, 0, 0]
    assert made.x.amax(0).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": X}, ["array 'y' is missing"]),
        ({"y": Y}, ["array 'x' is missing"]),
        ({"x": X, "y": Y, "x_tst": X, "y_test": Y}, ["unknown array", "'x_tst'", "did you mean 'x_test'"]),
        ({"x": X, "y": Y, "x_test": X}, ["x_test came without y_test"]),
        ({"x": X, "y": Y + 1}, ["label 3 is the largest, but 0 never occurs"]),
        ({"x": X, "y": Y * 1.0}, ["labels are of type float64"]),
        ({"x": X, "y": Y[:-1]}, ["30 examples, y 29 labels"]),
        ({"x": np.where(X[4, 1] == X, np.nan, X), "y": Y}, ["row 4, column 1 is nan"]),
        ({"x": np.where(X[4, 1] == X, None, X), "y": Y}, ["cannot be read", "llow_pickle"]),
        ({"x": X[:0], "y": Y[:0]}, ["x is empty"]),
    ],
)
def test_each_mistake_in_npz_is_named(tmp_path, arrays, words):
    np.savez(tmp_path / "mine.npz", **arrays)
    fails(tmp_path / "mine.npz", "mine.npz", *words)


def test_damaged_npz_files_are_named(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez_compressed(path, x=X, y=Y)
    good = path.read_bytes()
    damaged = bytearray(good)
    damaged[150:200] = bytes(50)
    for content, word in [
        (b"", "is empty"),
        (b"text, not an archive", "not a NumPy .npz archive"),
        (good[: len(good) // 2], "cannot be read"),
        (bytes(damaged), "cannot be read"),
    ]:
        path.write_bytes(content)
        fails(path, str(path), word)
    with path.open("wb") as file:
        np.save(file, X)
    fails(path, "not a NumPy .npz archive")


def test_tables_agree_with_the_arrays(table):
    made = load(write(table, TABLE), "raw", label="kind", seed=2)
    codes = np.array([1, 0, 2])[Y]
    assert made.class_names == ("a", "b", "c")
    assert made.shape == (3,)
    assert made.fingerprint == from_arrays(X, codes, seed=2).fingerprint
    moved = TABLE[["kind", "width", "height", "weight"]]
    assert load(write(table, moved), "raw", label="kind", seed=2).fingerprint == made.fingerprint


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (np.array([7, -1, 100]), ("-1", "7", "100")),
        (np.array([True, False, True]), ("False", "True")),
        (np.array(["10", "9", "x"]), ("10", "9", "x")),
    ],
)
def test_any_integers_and_strings_are_classes(table, values, names):
    made = load(write(table, TABLE.assign(kind=values[Y])), label="kind")
    assert made.class_names == names
    assert made.classes == len(names)


def test_categories_and_integers_that_may_be_missing_are_classes(tmp_path):
    for kind in (TABLE.kind.astype("category"), pd.Series(Y, dtype="Int64"), pd.Series(Y).astype("category")):
        made = load(write(tmp_path / "mine.parquet", TABLE.assign(kind=kind)), label="kind")
        assert made.classes == 3


def test_features_of_mixed_types_are_taken(table):
    mixed = TABLE.assign(height=np.arange(30) // 2, weight=np.arange(30) % 2 == 0)
    made = load(write(table, mixed), "raw", label="kind")
    assert set(made.x[:, 2].tolist()) == {0.0, 1.0}
    assert sorted(made.x[:, 1].tolist() + made.x_test[:, 1].tolist()) == sorted([*range(15), *range(15)])


def test_float32_and_byte_columns_are_taken(tmp_path):
    for dtype in (np.float32, np.uint8, "Float64", "Int16"):
        whole = (
            pd.DataFrame(np.arange(60).reshape(30, 2) // 4, columns=["a", "b"]).astype(dtype).assign(kind=Y)
        )
        made = load(write(tmp_path / "mine.parquet", whole), "raw", label="kind")
        assert made.x.sum() + made.x_test.sum() == (np.arange(60) // 4).sum()


def _cell(column, row, value):
    return TABLE.assign(**{column: [value if i == row else v for i, v in enumerate(TABLE[column])]})


@pytest.mark.parametrize(
    ("frame", "label", "words"),
    [
        (TABLE, None, ["needs the name of its label column", "width, height, weight, kind"]),
        (TABLE, "knid", ["'knid'", "did you mean 'kind'"]),
        (TABLE, "width", ["label column 'width' holds floating values"]),
        (_cell("height", 9, np.inf), "kind", ["row 10, column 'height' is inf"]),
        (_cell("kind", 2, None), "kind", ["row 3, column 'kind' is missing"]),
        (TABLE[["kind"]], "kind", ["no column beside the label"]),
        (
            TABLE[["kind"]].assign(a=1, b=[f"id {i}" for i in range(30)], c=np.nan),
            "kind",
            [
                "no column beside the label that can be a feature",
                "'a' is left out: it holds one value",
                "'b'",
                "'c'",
            ],
        ),
        (TABLE.iloc[:0], "kind", ["no rows"]),
        (TABLE.assign(kind="a"), "kind", ["1 class in 30 labels"]),
        (_cell("kind", 2, "z"), "kind", ["class 'z' has 1 example"]),
        (pd.DataFrame(np.ones((30, 40))).add_prefix("f").assign(kind=Y), "knid", ["41 in all"]),
    ],
)
def test_each_mistake_in_a_table_is_named(table, frame, label, words):
    fails(write(table, frame), table.name, *words, label=label)


def test_a_word_among_numbers_is_named_with_its_row(tmp_path):
    path = tmp_path / "mine.csv"
    rows = [f"{i},{'oops' if i == 7 else i},{i % 2}" for i in range(20)]
    path.write_text("\n".join(["a,b,kind", *rows]))
    fails(path, "column 'b' is not numeric", "row 8: 'oops'", "--drop", label="kind")


def test_damaged_tables_are_named(tmp_path):
    path = tmp_path / "mine.csv"
    for content, word in [
        (b"", "is empty"),
        (b"\n\n", "cannot be read as .csv"),
        (b"a,b\n1,2\n1,2,3,4\n", "cannot be read as .csv"),
        (b"a,b\n1,2,3\n1,2,3\n", "more fields than the header"),
        (b"a,b\n\xff\xfe,2\n", "cannot be read as .csv"),
        (b"a,b\n", "no rows"),
        (b"a,b,kind\n1,2,x\n3,4\n", "row 2, column 'kind' is missing"),
    ]:
        path.write_bytes(content)
        fails(path, str(path), word, label="kind")
    path = write(tmp_path / "mine.parquet", TABLE)
    good = path.read_bytes()
    for content in (b"not parquet at all", good[: len(good) // 2], good[:-20]):
        path.write_bytes(content)
        fails(path, str(path), "cannot be read as .parquet", label="kind")


def test_wrong_paths_are_named(tmp_path):
    fails(tmp_path / "none.csv", "there is no such file", label="kind")
    fails("none.npz", "none.npz", "there is no such file")
    fails("data.txt", "ends in '.txt'", ".npz, .csv, .tsv or .parquet")
    fails("data.txt.gz", "ends in '.gz'")
    fails("", "data set is ''", "digits")
    (tmp_path / "plain").write_text("x")
    fails(tmp_path / "plain", "ends in ''")
    (tmp_path / "folder.csv").mkdir()
    fails(tmp_path / "folder.csv", "there is no .npz, .csv, .tsv or .parquet file in it")
    np.savez(tmp_path / "mine.npz", x=X, y=Y)
    fails(tmp_path / "mine.npz", "label='kind' is for tables", label="kind")
    fails(tmp_path / "mine.npz", "test_share is 2.0", test_share=2.0)


def test_two_columns_of_one_name_are_refused(tmp_path):
    path = tmp_path / "mine.csv"
    for header, twice in (("a,kind,kind", "kind"), ("a,a,kind", "a"), ("a ,a,kind", None)):
        path.write_text("\n".join([header, *(f"{i % 9},{i % 2},{i % 2}" for i in range(20))]))
        if twice:
            fails(path, f"two columns are named {twice!r}", label="kind")
        else:
            assert load(path, label="kind").d == 2


def test_row_numbers_are_no_feature(tmp_path):
    path = tmp_path / "mine.csv"
    frame = pd.DataFrame({"a": [*range(10)] * 2, "kind": [0, 1] * 10})
    frame.to_csv(path)
    fails(path, "column 1 has no name", label="kind")
    path.write_text("a,,kind\n" + "\n".join(f"{i},{i},{i % 2}" for i in range(20)))
    fails(path, "column 2 has no name", label="kind")
    frame.to_csv(path, index=False)
    assert load(path, label="kind").d == 1


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("1", "01"), ("01", "1")),
        (("EU", "NA"), ("EU", "NA")),
        (("yes", "None"), ("None", "yes")),
        (("null", "nan"), ("nan", "null")),
        (("0.0", "1.0"), ("0.0", "1.0")),
        (("1", "1.0"), ("1", "1.0")),
        (("TRUE", "FALSE"), ("FALSE", "TRUE")),
        (("9", " 10"), ("9", "10")),
        (("9", str(10**30)), (str(10**30), "9")),
    ],
)
def test_labels_of_a_csv_are_read_as_they_stand(words, names, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["a,kind", *(f"{i},{words[i % 2]}" for i in range(20))]))
    made = load(path, "raw", label="kind")
    assert made.class_names == names
    assert set(made.y[made.x[:, 0] % 2 == 0].tolist()) == {names.index(words[0].strip())}


def test_no_label_is_no_class(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["a,kind", *(f"{i},{'' if i == 6 else i % 2}" for i in range(20))]))
    fails(path, "row 7, column 'kind' is missing", label="kind")


def test_whole_numbers_are_classes_as_they_are_written(table):
    made = load(write(table, TABLE.assign(kind=Y.astype(float))), label="kind")
    assert made.class_names == ("0.0", "1.0", "2.0")


def test_a_named_index_is_a_column(tmp_path):
    path = tmp_path / "mine.parquet"
    TABLE.set_index(TABLE.columns[0]).to_parquet(path)
    assert load(path, label="kind").d == TABLE.shape[1] - 1


def test_classes_beyond_64_bits_are_refused(tmp_path):
    path = tmp_path / "mine.parquet"
    TABLE.assign(kind=np.arange(30, dtype=np.uint64) % 2 + 2**63).to_parquet(path)
    fails(path, "integer classes must be below 2**63", label="kind")


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9])
def test_both_parts_hold_every_class(share):
    y = np.repeat([0, 1, 2, 3], [60, 56, 4, 2])
    for seed in range(5):
        kept, held_out = stratified(y, share, seed, "mine")
        assert sorted([*kept, *held_out]) == list(range(len(y)))
        assert set(y[kept]) == set(y[held_out]) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("written", "told"), [("latin-1", "-f LATIN1 -t UTF-8"), ("utf-16", "-f UTF-16 -t UTF-8")]
)
def test_a_table_in_another_encoding_is_told_with_what_converts_it(written, told, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("größe,kind\n1,a\n2,b\n", encoding=written)
    fails(path, "is not UTF-8", f"iconv {told} t.csv > utf8.csv", label="kind")


@pytest.mark.usefixtures("as_users_run")
def test_columns_are_named_by_text(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,kind\n1,a\n2,b\n")
    fails(path, "drop is 5", label="kind", drop=5)
    fails(path, "label is", label=["kind"])
    fails("a" * 5000 + ".csv", "File name too long")
