"""Experiment files that name pairs: ``global_budget`` and ``[[also]]``."""

from typing import Any

import pytest

from turncoat import Threat, TurncoatError
from turncoat.sweep.cells import key
from turncoat.sweep.experiment import cells, experiment


def threats(**keys: Any) -> set[tuple[float, float]]:
    found = cells(experiment({"seeds": 1, "selection": "optimal"} | keys, "pairs.toml"))
    return {(c.threat.write_access, c.threat.local_budget) for c in found if not c.threat.is_clean}


def test_a_global_budget_gives_every_access_its_local_budget() -> None:
    assert threats(global_budget=0.3, write_access=[0.3, 0.4, 1]) == {(0.3, 1.0), (0.4, 0.75), (1.0, 0.3)}


def test_pairs_that_need_more_than_all_are_left_out() -> None:
    found = threats(global_budget=[0.1, 0.5], write_access=[0.2, 0.5])
    assert found == {(0.2, 0.5), (0.5, 0.2), (0.5, 1.0)}


def test_a_derived_cell_is_the_cell_that_a_file_names() -> None:
    common: dict[str, Any] = {"seeds": 1, "selection": "optimal"}
    derived = cells(experiment(common | {"global_budget": 0.3, "write_access": 0.4}))
    named = cells(experiment(common | {"local_budget": 0.75, "write_access": 0.4}))
    assert [key(c) for c in derived] == [key(c) for c in named]


def test_also_takes_the_place_of_the_keys_above() -> None:
    found = threats(
        write_access=[0.1, 0.2], local_budget=1.0, also=[{"write_access": 1.0, "local_budget": [0.1, 0.2]}]
    )
    assert found == {(0.1, 1.0), (0.2, 1.0), (1.0, 0.1), (1.0, 0.2)}


def test_also_changes_how_much_is_flipped_from_one_form_to_the_other() -> None:
    found = threats(global_budget=0.5, write_access=[0.5, 1.0], also=[{"local_budget": 0.9}])
    assert found == {(0.5, 1.0), (1.0, 0.5), (0.5, 0.9), (1.0, 0.9)}


def test_a_cell_named_twice_is_one_cell() -> None:
    keys = {"write_access": 0.5, "seeds": 2, "selection": "optimal", "also": [{"write_access": [0.5, 1.0]}]}
    found = cells(experiment(keys))
    assert len(found) == len(set(found)) == 2 * 3
    assert {c.threat for c in found} == {Threat(), Threat(0.5), Threat(1.0)}


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"global_budget": 0.1}, "give write_access too"),
        ({"global_budget": 0.1, "write_access": 0.5, "local_budget": 0.2}, "leave one of them out"),
        ({"global_budget": [0.1, 0.9], "write_access": 0.5}, "write_access of 0.9 or more"),
        ({"global_budget": 0.4, "write_access": [0.2, 0.5]}, "write_access 0.2 is below every"),
        ({"global_budget": 1.4, "write_access": 0.5}, "it is a share"),
        ({"global_budget": 0, "write_access": 0.5}, "above 0"),
        ({"write_access": 0.5, "also": [{"wirte_access": 1.0}]}, "did you mean 'write_access'?"),
        ({"write_access": 0.5, "also": [{"seeds": 3}]}, "unknown key 'seeds'"),
        ({"write_access": 0.5, "also": {"write_access": 1.0}}, "write [[also]]"),
        ({"write_access": 0.5, "also": [{}]}, "write [[also]]"),
        ({"global_budget": 0.1, "workers": 10, "hostile": 2}, "give write_access too"),
    ],
)
def test_mistakes_are_told_in_one_line(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(TurncoatError) as told:
        cells(experiment({"seeds": 1} | keys, "pairs.toml"))
    assert says in str(told.value)
    assert str(told.value).startswith("pairs.toml: ")
    assert "\n" not in str(told.value)
