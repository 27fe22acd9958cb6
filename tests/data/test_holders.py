"""Data of several workers: one file for each, or one table that names them."""

import numpy as np
import pandas as pd
import pytest
import torch

from turncoat import Federation, Recipe, Threat, TurncoatError, load, train

WORKERS = {"north": 40, "south": 25, "west": 12}


def table(seed=0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    n = sum(WORKERS.values())
    x = draw.normal(size=(n, 2))
    who = np.repeat(list(WORKERS), list(WORKERS.values()))
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "sick": (x[:, 0] > 0).astype(int), "clinic": who})


@pytest.fixture
def one(tmp_path):
    path = tmp_path / "patients.csv"
    table().sample(frac=1, random_state=1).to_csv(path, index=False)
    return path


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "clinics"
    path.mkdir()
    for name, rows in table().groupby("clinic"):
        rows.drop(columns="clinic")[["sick", "b", "a"] if name == "west" else ["a", "b", "sick"]].to_csv(
            path / f"{name}.csv", index=False
        )
    (path / "readme.txt").write_text("not data")
    return path


def rows_of(data) -> dict[str, set]:
    """Each worker's rows, as (a, b) pairs."""
    return {
        name: {tuple(np.round(row.tolist(), 5)) for row in data.x[data.holder == i]}
        for i, name in enumerate(data.holders)
    }


def all_rows() -> dict[str, set]:
    return {
        name: {tuple(np.round(np.float32(row).tolist(), 5)) for row in rows[["a", "b"]].to_numpy()}
        for name, rows in table().groupby("clinic")
    }


@pytest.mark.parametrize("source", ["one", "folder"])
def test_every_worker_holds_its_own_rows(source, request):
    path = request.getfixturevalue(source)
    data = load(path, "raw", label="sick", workers_from="clinic" if source == "one" else None)
    assert data.holders == tuple(WORKERS) and data.d == 2
    found, known = rows_of(data), all_rows()
    assert all(found[name] <= known[name] for name in WORKERS)
    assert sum(map(len, found.values())) == data.n == 77 - len(data.y_test)
    assert torch.equal(data.y, (data.x[:, 0] > 0).long())


def test_parquet_and_numbered_workers(tmp_path):
    frame = table().assign(clinic=lambda f: f["clinic"].map({"north": 10, "south": 2, "west": 33}))
    frame.to_parquet(tmp_path / "p.parquet")
    assert set(load(tmp_path / "p.parquet", label="sick", workers_from="clinic").holders) == {"10", "2", "33"}


def test_archives_of_images_with_a_test_part(tmp_path):
    draw = np.random.default_rng(0)
    for i, size in enumerate((6, 9)):
        x, y = draw.random((size, 1, 2, 3)), np.arange(size) % 2
        np.savez(tmp_path / f"w{i}.npz", x=x, y=y, x_test=x[:2], y_test=y[:2])
    data = load(tmp_path, "raw")
    assert (data.n, len(data.y_test), data.shape) == (15, 4, (1, 2, 3))
    assert data.holder.tolist() == [0] * 6 + [1] * 9 and data.holders == ("w0", "w1")


def test_archives_without_one_are_split(tmp_path):
    draw = np.random.default_rng(0)
    for i in range(3):
        np.savez(
            tmp_path / f"w{i}.npz", x=np.full((20, 2), i) + draw.random((20, 2)) / 2, y=np.arange(20) % 2
        )
    data = load(tmp_path, "raw")
    assert torch.equal(data.holder, data.x[:, 0].long()) and data.n == 48


def test_who_holds_what_tells_data_apart(one):
    plain = pd.read_csv(one)
    other = one.with_name("other.csv")
    plain.assign(clinic=plain["clinic"].to_numpy()[::-1]).to_csv(other, index=False)
    first, second = (load(path, label="sick", workers_from="clinic") for path in (one, other))
    assert torch.equal(first.x, second.x) and first.fingerprint != second.fingerprint


@pytest.mark.parametrize(
    "recipe", [Recipe(epochs=2, batch_size=4), Recipe(epochs=2, batch_size=4, patience=5)]
)
def test_a_federation_trains_on_what_each_holds(folder, recipe):
    from turncoat.models import build
    from turncoat.training.stack import material, stack_run

    data = load(folder, "raw", label="sick")
    setting = Federation(workers=3, hostile=1, partition="given", aggregator="median")
    run = stack_run(material(build("logistic", data), data, "cpu"), recipe, 0, (Threat(1 / 3),), setting)
    known = all_rows()
    for name, shard in zip(data.holders, run.task.way.crowd.shards, strict=True):
        assert {tuple(np.round(row.tolist(), 5)) for row in run.task.x[shard][:, :2]} <= known[name]
    assert sum(map(len, run.task.way.crowd.shards)) == len(run.task.y)
    results = train(data, threats=[Threat()], seeds=[0], recipe=recipe, federation=setting)
    flips = [run.curve("flips") for run in results.runs if not run.threat.is_clean]
    assert 0 < flips[0][0] <= 40  # all labels of the first worker at most


class TestBadInput:
    def refuses(self, told, *args, **how):
        with pytest.raises(TurncoatError, match=told) as error:
            load(*args, **how)
        assert "\n" not in str(error.value)

    def test_columns(self, one):
        self.refuses(
            "unknown column in .*'clinics'; did you mean 'clinic'", one, label="sick", workers_from="clinics"
        )
        self.refuses("'sick' is the label column", one, label="sick", workers_from="sick")
        frame = pd.read_csv(one)
        frame.loc[3, "clinic"] = None
        frame.to_csv(one, index=False)
        self.refuses("row 4, column 'clinic' is empty", one, label="sick", workers_from="clinic")

    def test_a_column_of_what_has_none(self, tmp_path):
        np.savez(tmp_path / "a.npz", x=np.eye(4), y=[0, 1, 0, 1])
        self.refuses("workers_from='clinic' is for tables", tmp_path / "a.npz", workers_from="clinic")
        self.refuses("digits does not say who holds what", "digits", workers_from="clinic")

    def test_folders(self, folder):
        self.refuses("does nothing: leave it out", folder, label="sick", workers_from="clinic")
        other = pd.read_csv(folder / "west.csv").rename(columns={"b": "c"})
        other.to_csv(folder / "west.csv", index=False)
        self.refuses("column 'b' is not in both west.csv and north.csv", folder, label="sick")
        (folder / "north.parquet").touch()
        self.refuses("give each worker one, all of one kind", folder, label="sick")

    def test_a_folder_of_other_things(self, tmp_path):
        (tmp_path / "notes.txt").write_text("x")
        self.refuses("there is no .npz, .csv, .tsv or .parquet file in it", tmp_path)

    def test_archives_that_differ(self, tmp_path):
        np.savez(tmp_path / "a.npz", x=np.eye(4), y=[0, 1, 0, 1])
        np.savez(tmp_path / "b.npz", x=np.eye(3), y=[0, 1, 0])
        self.refuses("its arrays are not those of a.npz", tmp_path)
        self.refuses("label='y' is for tables", tmp_path, label="y")

    def test_a_worker_with_nothing_left(self, tmp_path):
        frame = table()
        frame.loc[0, "clinic"] = "alone"
        for seed in range(40):  # until its only row is drawn for testing
            frame.sample(frac=1, random_state=seed).to_csv(tmp_path / "p.csv", index=False)
            try:
                load(tmp_path / "p.csv", label="sick", workers_from="clinic", test_share=0.5)
            except TurncoatError as error:
                assert "all rows of worker 'alone' are held out for testing" in str(error)
                return
        raise AssertionError("it was always kept")

    def test_a_federation_of_another_size(self, folder):
        data = load(folder, label="sick")
        setting = Federation(workers=4, partition="given")
        with pytest.raises(TurncoatError, match="the data name 3 workers, but workers is 4: give 3"):
            train(data, seeds=[0], recipe=Recipe(epochs=1), federation=setting)

    def test_data_that_do_not_say(self, binary):
        with pytest.raises(TurncoatError, match="partition 'given' is for data that say who holds what"):
            train(
                binary,
                seeds=[0],
                recipe=Recipe(epochs=1),
                federation=Federation(workers=4, partition="given"),
            )
