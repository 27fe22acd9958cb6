"""Tables as people have them: text, gaps, ids, separators, groups; what was done is said."""

import gzip

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from turncoat import Dataset, load
from turncoat.data.columns import MOST
from turncoat.data.split import grouped
from turncoat.errors import TurncoatError

RNG = np.random.default_rng(3)
N = 120
MIXED = pd.DataFrame(
    {
        "id": [f"case {i}" for i in range(N)],
        "number": range(1000, 1000 + N),
        "age": np.where(np.arange(N) % 7 == 0, np.nan, np.arange(N) % 50 + 0.5),
        "ward": np.where(np.arange(N) % 11 == 0, None, np.array(["east", "north", "west"])[np.arange(N) % 3]),
        "site": "one",
        "patient": np.arange(N) // 4,
        "<script>": RNG.normal(size=N),
        "outcome": np.array(["ill", "well"])[RNG.integers(0, 2, N)],
    }
)


def written(tmp_path, frame, name="mine.csv", **options):
    path = tmp_path / name
    frame.to_csv(path, index=False, **options)
    return path


def done(made: Dataset) -> dict[str, tuple[str, str, int]]:
    assert made.origin is not None
    return {column.name: (column.kind, column.told, column.features) for column in made.origin.columns}


def fails(path, *words, **options):
    with pytest.raises(TurncoatError) as caught:
        load(path, label="outcome", **options)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value), str(caught.value)


def test_what_is_done_to_each_column_is_said(tmp_path):
    made = load(written(tmp_path, MIXED), "raw", label="outcome")
    told = done(made)
    assert told["id"] == ("left out", "left out: it holds another value in each row, as an id does", 0)
    assert told["number"][0] == "left out" and told["site"][1] == "left out: it holds one value alone"
    assert told["<script>"] == ("number", "", 1)
    assert told["age"][1].startswith("18 of 120 values missing, filled with the training part's median")
    assert told["ward"] == (
        "text",
        "text of 4 values, a feature each; 11 of 120 missing, which counts as a value",
        4,
    )
    wards = ("ward = (missing)", "ward = east", "ward = north", "ward = west")
    assert made.origin.features == ("age", *wards, "patient", "<script>")
    assert [note.split(":")[0] for note in made.origin.notes()] == [
        f"column {name!r}" for name in ("id", "number", "age", "ward", "site")
    ]


def test_encoders_learn_from_the_training_part_alone(tmp_path):
    made = load(written(tmp_path, MIXED), "raw", label="outcome")
    origin = made.origin
    assert sorted([*origin.rows, *origin.rows_test]) == list(range(N))
    for x, rows in ((made.x, origin.rows), (made.x_test, origin.rows_test)):
        median = SimpleImputer(strategy="median").fit(MIXED[["age"]].iloc[origin.rows])
        age = median.transform(MIXED[["age"]].iloc[rows])
        wards = OneHotEncoder(sparse_output=False).fit(MIXED[["ward"]].fillna("(missing)").iloc[origin.rows])
        ward = wards.transform(MIXED[["ward"]].fillna("(missing)").iloc[rows])
        rest = MIXED[["patient", "<script>"]].iloc[rows].to_numpy()
        np.testing.assert_allclose(x, np.hstack([age, ward, rest]), rtol=1e-6)
    names = np.array(made.class_names)
    assert (names[made.y] == MIXED["outcome"].iloc[origin.rows]).all()


def test_values_that_the_training_part_lacks_have_no_feature(tmp_path):
    rows = load(written(tmp_path, MIXED), label="outcome").origin
    words = np.array(["a", "b"], dtype=object)[np.arange(N) % 2]
    words[rows.rows_test[0]] = "only in the test part"
    ages = np.where(np.isin(np.arange(N), rows.rows), np.nan, 5.0)
    ages[rows.rows_test[1]] = 6.0
    made = load(written(tmp_path, MIXED.assign(ward=words, age=ages)), "raw", label="outcome")
    assert [name for name in made.origin.features if name.startswith("ward")] == ["ward = a", "ward = b"]
    assert made.x_test[0, 1:3].tolist() == [0, 0] and (made.x[:, 1:3].sum(1) == 1).all()
    assert (made.x[:, 0] == 0).all()  # a column without any value in the training part


def test_whole_numbers_that_are_all_there_is_are_kept(tmp_path):
    made = load(written(tmp_path, MIXED[["number", "site", "outcome"]]), "raw", label="outcome")
    assert done(made)["number"][1].startswith("kept, for there is no other feature")
    assert made.x[:, 0].tolist() == (1000 + made.origin.rows).tolist()
    fails(written(tmp_path, MIXED[["id", "outcome"]]), "no column beside the label that can be a feature")


def test_rare_values_share_a_feature(tmp_path):
    words = [f"w{i % 100}" if i % 2 else "usual" for i in range(N)]
    made = load(written(tmp_path, MIXED.assign(ward=words)), label="outcome")
    told = done(made)["ward"]
    assert told[2] == MOST and f"a feature for each of the {MOST - 1} commonest" in told[1]
    assert made.origin.features.count("ward = (another)") == 1


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mine.csv", {"sep": ";"}),
        ("mine.csv", {"sep": "\t"}),
        ("mine.csv", {"sep": "|"}),
        ("mine.tsv", {"sep": "\t"}),
        ("mine.csv.gz", {}),
        ("mine.tsv.gz", {"sep": "\t"}),
        ("MINE.CSV", {"encoding": "utf-8-sig"}),
        ("mine.csv", {"sep": ";", "decimal": ","}),
    ],
)
def test_separators_are_found(tmp_path, name, options):
    told = MIXED.assign(note=[f'said "a, b; c", then {i % 3}\tand' for i in range(N)])
    made = load(written(tmp_path, told, name, **options), label="outcome")
    assert made.fingerprint == load(written(tmp_path, told, "plain.csv"), label="outcome").fingerprint


def test_parquet_keeps_kinds(tmp_path):
    frame = MIXED.assign(
        ward=MIXED["ward"].astype("category"),
        day=pd.date_range("2020-01-01", periods=N, tz="UTC"),
        whole=pd.array([None if i % 9 == 0 else i % 5 for i in range(N)], dtype="Int64"),
        flag=pd.array([None if i % 8 == 0 else i % 2 == 0 for i in range(N)], dtype="boolean"),
    )
    frame.to_parquet(tmp_path / "mine.parquet")
    made = load(tmp_path / "mine.parquet", "raw", label="outcome")
    told = done(made)
    assert told["day"] == ("date", "a date, in days since 1970", 1)
    assert "14 of 120 values missing" in told["whole"][1] and told["ward"][2] == 4
    days = made.x[:, made.origin.features.index("day")]
    assert days[0] == 18262 + made.origin.rows[0]
    assert set(made.x[:, made.origin.features.index("flag")].tolist()) <= {0.0, 1.0, 0.5}


def test_columns_are_left_out_as_asked(tmp_path):
    path = written(tmp_path, MIXED)
    plain = load(path, label="outcome", drop="ward, age")
    assert plain.origin.features == ("patient", "<script>")
    assert plain.fingerprint == load(path, label="outcome", drop=["ward", "age"]).fingerprint
    assert done(plain)["ward"] == ("left out", "left out as asked", 0)
    fails(path, "'wrad'", "did you mean 'ward'", drop="wrad")
    fails(path, "'outcome' is the label column", drop="outcome")
    fails(path, "no column beside the label", "'age' is left out as asked", drop=list(MIXED.columns[:-1]))
    fails(path, "a column to drop is ''", drop="ward,")


def test_groups_stay_on_one_side(tmp_path):
    path = written(tmp_path, MIXED)
    for seed in range(4):
        made = load(path, label="outcome", group="patient", seed=seed)
        here, there = (set(MIXED["patient"].iloc[rows]) for rows in (made.origin.rows, made.origin.rows_test))
        assert not here & there and len(made.y_test) == pytest.approx(N / 5, abs=5)
        assert set(made.y.tolist()) == set(made.y_test.tolist()) == {0, 1}
    assert done(made)["patient"][1].endswith("stay on one side of the split")
    most = load(path, label="outcome", group="patient", test_share=0.75)
    assert len(most.y_test) == pytest.approx(0.75 * N, abs=8)
    fails(path, "group column 'site' has 1 different values", group="site")
    fails(path, "row 1, column 'ward' is empty", group="ward")
    fails(path, "'outcome' is the label column", group="outcome")
    with pytest.raises(TurncoatError, match="leave a class out"):
        grouped(
            np.array([0] * 20 + [1] * 4), pd.Series([*np.arange(20) // 4, *[9] * 4]), 0.2, 0, "t.csv", "g"
        )


def test_what_is_for_tables_is_refused_elsewhere(tmp_path):
    np.savez(tmp_path / "mine.npz", x=RNG.normal(size=(20, 2)), y=np.arange(20) % 2)
    with pytest.raises(TurncoatError, match="is for tables"):
        load(tmp_path / "mine.npz", drop="a")
    with pytest.raises(TurncoatError, match="drop, group"):
        load("digits", group="a")


def test_damaged_gzip_is_named(tmp_path):
    path = tmp_path / "mine.csv.gz"
    content = gzip.compress(b"a,outcome\n" + b"\n".join(b"%d,%d" % (i % 9, i % 2) for i in range(4000)))
    for part in (content[: len(content) // 2], b"a,outcome\n1,2\n", content[:30] + b"garbage" * 9):
        path.write_bytes(part)
        fails(path, str(path))


def test_values_that_are_neither_numbers_nor_text_are_refused(tmp_path):
    frame = MIXED.assign(ward=[[1, 2]] * N)
    frame.to_parquet(tmp_path / "mine.parquet")
    fails(tmp_path / "mine.parquet", "column 'ward' is not numeric", "--drop")
