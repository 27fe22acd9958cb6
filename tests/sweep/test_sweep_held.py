"""Sweeps and commands on data that say who holds what."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from turncoat import TurncoatError
from turncoat.cli import turncoat
from turncoat.sweep.experiment import cells, experiment
from turncoat.sweep.runner import sweep
from turncoat.sweep.store import open_store

SHORT = {"epochs": 2, "batch_size": 4, "learning_rate": 0.1, "seeds": 1, "label": "sick"}


@pytest.fixture
def clinics(tmp_path):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(90, 2))
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "sick": (x[:, 0] > 0).astype(int)})
    frame["clinic"] = np.repeat(["north", "south", "west"], [50, 25, 15])
    frame.to_csv(tmp_path / "patients.csv", index=False)
    (tmp_path / "clinics").mkdir()
    for name, rows in frame.groupby("clinic"):
        rows.drop(columns="clinic").to_csv(tmp_path / "clinics" / f"{name}.csv", index=False)
    return tmp_path


def asked(clinics, kind, **more):
    where = {"dataset": str(clinics / "patients.csv"), "workers_from": "clinic"}
    if kind == "folder":
        where = {"workers_from": str(clinics / "clinics")}
    return SHORT | where | {"hostile": 1, "aggregator": "median"} | more


@pytest.mark.parametrize("kind", ["column", "folder"])
def test_there_are_as_many_workers_as_the_data_name(clinics, kind):
    found = cells(experiment(asked(clinics, kind)))
    assert {(c.federation.workers, c.federation.partition) for c in found} == {(3, "given")}
    assert {round(c.threat.write_access, 3) for c in found} == {0.0, 0.333}
    outcome = sweep(experiment(asked(clinics, kind)), clinics / "a.db")
    assert outcome.trained == len(found) == 3
    assert sweep(experiment(asked(clinics, kind)), clinics / "a.db").trained == 0
    with open_store(clinics / "a.db") as store:
        row = store.summary().iloc[0]
    assert row["dataset"] == ("patients.csv" if kind == "column" else "clinics")
    assert row["workers_from"] == ("clinic" if kind == "column" else None)


@pytest.mark.parametrize("kind", ["column", "folder"])
def test_attack_takes_it_too(clinics, kind, monkeypatch):
    monkeypatch.chdir(clinics)
    where = ["--dataset", "patients.csv", "--workers-from", "clinic"]
    where = where if kind == "column" else ["--workers-from", "clinics"]
    rest = ["--label", "sick", "--hostile", "1", "--weighting", "size", "--participation", "0.7"]
    command = ["attack", *where, *rest, "--epochs", "2", "--batch-size", "4", "--seeds", "1", "--json"]
    done = CliRunner().invoke(turncoat, command)
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["federation"]["workers"] == 3 and told["federation"]["partition"] == "given"
    assert told["federation"]["weighting"] == "size" and told["federation"]["participation"] == 0.7


@pytest.mark.parametrize(
    ("kind", "more", "told"),
    [
        (
            "column",
            {"workers": 3},
            "workers_from says who holds what, and so does workers: leave workers out",
        ),
        ("folder", {"partition": "iid"}, "and so does partition: leave partition out"),
        (
            "folder",
            {"dataset": "digits"},
            "workers_from is a folder, which holds the data: leave dataset out",
        ),
        ("column", {"workers_from": ["clinic", "a"]}, "reads one data set at a time, but workers_from is"),
        ("column", {"workers_from": "no/where"}, "workers_from is 'no/where', but there is no such folder"),
        ("column", {"workers_from": "clinik"}, "did you mean 'clinic'"),
        ("column", {"hostile": 4}, "hostile is 4, but there are only 3 workers"),
        ("column", {"write_access": 0.5}, "write_access is hostile / workers in a federation"),
    ],
)
def test_what_cannot_be(clinics, kind, more, told):
    with pytest.raises(TurncoatError, match=told) as error:
        cells(experiment(asked(clinics, kind, **more)))
    assert "\n" not in str(error.value)


def test_an_unnamed_holder_leaves_keys_as_they_were(clinics):
    plain = experiment(SHORT | {"dataset": str(clinics / "clinics" / "north.csv"), "write_access": 0.5})
    assert all(cell.problem.workers_from is None for cell in cells(plain))
