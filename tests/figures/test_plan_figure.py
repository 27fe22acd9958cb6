"""The picture of a plan, and the cell of a store that it is made for."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from turncoat import Federation, Threat, TurncoatError
from turncoat.federation.threats import placed_in
from turncoat.figures import FIGURES, caption_of, draw
from turncoat.figures.plan import planned_anew
from turncoat.sweep.cells import config


def quiet(done: int, total: int) -> None:
    pass


def rows_of(*cells) -> pd.DataFrame:
    return pd.DataFrame([config(cell) for cell in cells]).assign(epoch=1, accuracy=0.5)


def test_it_shows_the_plans_own_numbers(drawn_plan):
    figure = FIGURES["plan"].draw(drawn_plan)
    mesh = next(a for ax in figure.axes for a in ax.collections if a.get_gid() == "table")
    table = np.asarray(mesh.get_array()).reshape(10, 10)[::-1]
    np.testing.assert_allclose(table.sum(1), 1, atol=1e-4)
    hand = np.zeros((10, 10))
    soft, y = drawn_plan.plan, drawn_plan.data.y
    for turn in range(3):  # each round is a phase of its own
        held = soft.soft_labels(drawn_plan.data.x, y, turn)
        hand += np.stack([held[y == label].mean(0).numpy() for label in range(10)]) / 3
    np.testing.assert_allclose(table, hand, atol=1e-5)
    line = next(a for ax in figure.axes for a in ax.lines if a.get_gid() == "objective")
    np.testing.assert_allclose(line.get_ydata(), drawn_plan.plan.objective)


def test_images_are_those_that_are_flipped_most(drawn_plan):
    figure = FIGURES["plan"].draw(drawn_plan)
    shown = {int(a.get_gid().removeprefix("row ")): ax for ax in figure.axes for a in ax.images}
    data = drawn_plan.data
    wrong = 1 - drawn_plan.plan.average(data.x, data.y).gather(1, data.y.unsqueeze(1)).squeeze(1)
    assert len(shown) == len({int(data.y[row]) for row in shown})
    for row, ax in shown.items():
        assert wrong[row] == wrong[data.y == data.y[row]].max()
        assert ax.get_title().endswith(f"{100 * float(wrong[row]):.0f} %")


def test_data_that_are_no_images_have_none(drawn_plan):
    flat = dataclasses.replace(drawn_plan, data=dataclasses.replace(drawn_plan.data, shape=(64,)))
    figure = FIGURES["plan"].draw(flat)
    assert not any(ax.images for ax in figure.axes)
    assert "Images" not in caption_of(figure)


def test_a_cells_plan_is_made_again_as_it_was(drawn_plan):
    cell = dataclasses.replace(drawn_plan.cell, recipe=dataclasses.replace(drawn_plan.cell.recipe, epochs=1))
    seen = []
    other = dataclasses.replace(cell, seed=1)
    found = planned_anew(rows_of(other, cell), None, lambda done, total: seen.append((done, total)))
    assert found.cell == cell and found.plan.made.threat == cell.threat
    assert seen[-1] == (30, 30)
    assert torch.isfinite(found.plan.table(found.data.x, found.data.y)).all()


@pytest.mark.parametrize("case", ["none", "several", "federation"])
def test_what_no_plan_can_be_drawn_of(drawn_plan, case):
    cell = drawn_plan.cell
    federation = Federation(workers=4, hostile=1)
    threat = placed_in(federation, Threat(selection="planned"), cell.recipe)
    rows, words = {
        "none": (
            rows_of(dataclasses.replace(cell, threat=Threat(1.0, 0.3))),
            "no cell here was planned",
        ),
        "several": (
            rows_of(cell, dataclasses.replace(cell, threat=Threat(0.5, 0.3, selection="planned"))),
            "write_access is 0.5 or 1.0; choose one",
        ),
        "federation": (
            rows_of(dataclasses.replace(cell, federation=federation, threat=threat)),
            "--where workers=0",
        ),
    }[case]
    with pytest.raises(TurncoatError, match=words):
        planned_anew(rows, None, quiet)


def test_a_plan_has_no_rows_to_keep(drawn_plan, tmp_path):
    with pytest.raises(TurncoatError, match="leave where out"):
        draw("plan", drawn_plan, tmp_path / "p.png", where={"seed": 0})
    assert not list(tmp_path.iterdir())
