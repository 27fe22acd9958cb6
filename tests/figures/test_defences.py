"""The picture of defences: its numbers against the runs, its prices by seed pairs, and what it refuses."""

import numpy as np
import pandas as pd
import pytest

from turncoat.errors import TurncoatError
from turncoat.figures import FIGURES
from turncoat.figures.defences import prices
from turncoat.sweep.experiment import experiment
from turncoat.sweep.runner import sweep
from turncoat.sweep.store import open_store


@pytest.fixture(scope="module")
def curves(tmp_path_factory):
    asked = experiment(
        {
            "dataset": "digits",
            "scale": "unit",
            "epochs": 2,
            "learning_rate": 0.2,
            "seeds": 2,
            "write_access": 0.5,
            "local_budget": 0.5,
            "selection": ["random", "optimal"],
            "defence": ["none", "knn:5", "gce:0.3"],
            "also": [{"selection": "optimal", "aware": True, "defence": ["knn:5"]}],
        }
    )
    path = tmp_path_factory.mktemp("defences") / "d.db"
    sweep(asked, path)
    with open_store(path) as store:
        return store.curves()


def drawn(figure, gid):
    axes = {m.get_gid(): ax for ax in figure.get_axes() for m in ax.collections if m.get_gid()}
    ax = axes[gid]
    names = [t.get_text() for t in ax.get_xticklabels()]
    return ax, names


def test_every_cell_is_the_mean_of_its_runs(curves):
    figure = FIGURES["defences"].draw(curves)
    ax, names = drawn(figure, "defences")
    assert set(names) == {"optimal", "random", "optimal, aware"}
    mesh = next(m for m in ax.collections if m.get_gid() == "defences")
    values = np.asarray(mesh.get_array()).reshape(3, 3)
    rows = [t.get_text() for t in figure.get_axes()[0].get_yticklabels()]
    assert rows[-1] == "none"  # drawn upwards
    last = curves[curves["epoch"] == curves["epoch"].max()]
    for i, row in enumerate(rows):
        for j, name in enumerate(names):
            own = last[(last["defence"] == row) & (last["selection"] == name.split(",")[0])]
            own = own[(own["aware"] == name.endswith("aware")) & (own["write_access"] > 0)]
            wanted = own["accuracy"].mean()
            assert (np.isnan(values[i, j]) and own.empty) or values[i, j] == pytest.approx(wanted)


def test_a_price_is_the_mean_over_seeds_of_what_is_lost_without_an_attacker(curves):
    honest = curves[(curves["write_access"] == 0) & (curves["epoch"] == curves["epoch"].max())]
    by = honest.set_index(["defence", "seed"])["accuracy"]
    found = prices(curves, "accuracy", "tail")
    assert found["none"] == 0
    assert found["gce:0.3"] == pytest.approx((by["none"] - by["gce:0.3"]).mean())


def test_without_undefended_runs_there_is_no_price(curves):
    kept = curves[curves["defence"] != "none"]
    assert prices(kept, "accuracy", "tail").isna().all()
    FIGURES["defences"].draw(kept)


def test_defences_of_several_budgets_are_not_mixed(curves):
    other = curves[curves["write_access"] > 0].assign(write_access=0.25)
    with pytest.raises(TurncoatError, match="write_access"):
        FIGURES["defences"].draw(pd.concat([curves, other]))
