"""Federations in experiments and stores: which cells there are, what is kept of them, what comes back."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import turncoat
from turncoat import Federation, Recipe, Threat, TurncoatError
from turncoat.sweep import runner
from turncoat.sweep.cells import config, from_config, key
from turncoat.sweep.experiment import cells, experiment
from turncoat.sweep.store import open_store
from turncoat.threat import CLEAN

CROWD = {"workers": 5, "hostile": 2, "epochs": 2, "learning_rate": 0.2, "seeds": 2}


def test_write_access_is_the_hostile_workers_data() -> None:
    found = cells(experiment(CROWD | {"aggregator": ["mean", "median"]}))
    assert len(found) == 2 * 2 * 3
    assert {cell.threat.write_access for cell in found} == {0.0, 0.4}
    assert {cell.threat.placement for cell in found if not cell.threat.is_clean} == {"fixed"}
    assert {cell.federation.aggregator for cell in found if cell.threat == CLEAN} == {"mean", "median"}
    assert len({key(cell) for cell in found}) == len(found)
    assert all(from_config(config(cell)) == cell for cell in found)


def test_no_hostile_worker_means_a_clean_run() -> None:
    found = cells(experiment(CROWD | {"hostile": [0, 1]}))
    assert [cell.threat == CLEAN for cell in found if cell.federation.hostile == 0] == [True, True]
    assert sum(not cell.threat.is_clean for cell in found) == 2 * 2


def test_gradient_attacks_take_no_notice_of_labels() -> None:
    rules = ["optimal", "sign_flip"]
    found = cells(experiment(CROWD | {"selection": rules, "local_budget": [0.5, 0.2], "goal": ["targeted"]}))
    forged = [cell for cell in found if cell.threat.selection == "sign_flip"]
    assert {(cell.threat.local_budget, cell.threat.goal) for cell in forged} == {(1.0, "untargeted")}
    assert len(forged) == 2


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"write_access": 0.4}, "write_access is hostile / workers in a federation: leave write_access out"),
        ({"hostile": 0, "local_budget": 0.5}, "no worker is hostile, so there is no attacker; set hostile"),
        ({"selection": "sign_flip", "local_budget": 0.5}, "forges messages and flips no labels"),
        ({"selection": "min_max", "schedule": "step"}, "forges messages and flips no labels"),
        ({"selection": "mirror", "aggregator": "median", "aware": True}, "looks at nothing"),
        ({"aware": True}, "give workers and an aggregator other than 'mean'"),
        ({"workers": 0, "hostile": 0, "aggregator": "median"}, "aggregator = 'median' needs workers"),
        ({"hostile": 6}, "hostile is 6, but there are only 5 workers"),
    ],
)
def test_combinations_that_make_no_sense(keys: dict[str, object], said: str) -> None:
    with pytest.raises(TurncoatError, match=said) as caught:
        cells(experiment(CROWD | {"selection": ["optimal"]} | keys, "x.toml"))
    assert "\n" not in str(caught.value) and str(caught.value).startswith("x.toml: ")


def test_aware_does_something_against_a_robust_rule() -> None:
    found = cells(experiment(CROWD | {"aggregator": "median", "aware": [False, True]}))
    assert {cell.threat.aware for cell in found} == {False, True}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "f.db"
    keys = CROWD | {"aggregator": ["median", "mean"], "selection": ["optimal", "random", "sign_flip"]}
    assert runner.sweep(experiment(keys), path).trained == 2 * 2 * 4
    return path


def test_the_store_gives_back_what_train_gives(stored: Path) -> None:
    with open_store(stored) as store:
        summary, seen, curves = store.summary(), store.visibility(), store.curves()
    threats = [Threat(selection=rule) for rule in ("optimal", "random", "sign_flip")]
    recipe = Recipe(epochs=2, learning_rate=0.2)
    for aggregator in ("median", "mean"):
        results = turncoat.train(
            turncoat.load("digits"), threats=threats, seeds=range(2), recipe=recipe,
            federation=Federation(workers=5, hostile=2, aggregator=aggregator),
        )  # fmt: skip
        by = ["write_access", "selection"]
        wanted = results.summary().sort_values(by).reset_index(drop=True)
        found = summary[summary["aggregator"] == aggregator].sort_values(by).reset_index(drop=True)
        columns = [n for n in wanted if n.startswith(("accuracy", "harm", "visibility", "flips"))]
        assert any(n.startswith("visibility") for n in columns)
        pd.testing.assert_frame_equal(found[columns], wanted[columns], rtol=1e-5)
        by += ["seed", "round", "worker"]
        wanted = results.visibility().sort_values(by).reset_index(drop=True)
        found = seen[seen["aggregator"] == aggregator].sort_values(by).reset_index(drop=True)
        np.testing.assert_allclose(found["norm"], wanted["norm"], rtol=1e-5)
        np.testing.assert_allclose(found["label_shift"], wanted["label_shift"], atol=1e-6)
        assert (found["is_hostile"] == wanted["is_hostile"]).all()
    assert {"workers", "hostile", "partition", "aggregator"} <= set(curves) & set(seen) & set(summary)


def test_a_sweep_of_federations_finds_all_cells_there(stored: Path) -> None:
    assert runner.sweep(experiment(CROWD | {"aggregator": "mean"}), stored).trained == 0
    assert runner.sweep(experiment(CROWD | {"tolerated": 1, "seeds": 1}), stored).trained == 3


def test_pooled_cells_have_no_messages(tmp_path: Path) -> None:
    path = tmp_path / "pooled.db"
    runner.sweep(experiment({"epochs": 1, "write_access": 0.5, "seeds": 1}), path)
    with open_store(path) as store:
        assert store.visibility().empty
        assert not [name for name in store.summary() if name.startswith("visibility")]
