"""The picture of how near flips come to gradient attacks, and the trainings that it makes anew."""

import near_cells
import numpy as np
import pandas as pd
import pytest

from turncoat import Threat, TurncoatError, load, train
from turncoat.analysis.nearness import nearness
from turncoat.cli import figure
from turncoat.figures import FIGURES, caption_of
from turncoat.figures.reach import near_anew

RECIPE, FEDERATION = near_cells.RECIPE, near_cells.FEDERATION
quiet = near_cells.quiet


def test_it_is_the_nearness_of_the_stores_own_federation(near):
    for seed in (0, 1):
        own = nearness(load("digits"), FEDERATION, "logistic", RECIPE, ["sign_flip"], (0.2, 1.0), seed)
        mine = near.found[near.found["seed"] == seed].reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, own)


def test_harm_is_paired_by_seed(near, near_rows):
    assert set(near.harm["kind"]) == {"the attack itself", "flips that imitate it", "planned", "random"}
    one = near.harm[(near.harm["kind"] == "flips that imitate it") & (near.harm["seed"] == 1)]
    value = near_rows.set_index(["selection", "seed"])["accuracy"]
    clean = near_rows[(near_rows["write_access"] == 0) & (near_rows["seed"] == 1)]["accuracy"].iloc[0]
    assert one["value"].tolist() == pytest.approx([clean - value["imitate:sign_flip", 1]])
    assert one["attack"].tolist() == ["sign_flip"]


def test_the_picture_shows_its_numbers(near):
    drawn = FIGURES["reach"].draw(near)
    lines = {a.get_gid(): a for ax in drawn.axes for a in ax.lines if a.get_gid()}
    by_budget = near.found.groupby("local_budget")["cosine"].mean()
    np.testing.assert_allclose(lines["cosine sign_flip"].get_ydata(), by_budget)
    level = 100 * near.harm[near.harm["kind"] == "planned"]["value"].mean()
    np.testing.assert_allclose(lines["harm planned"].get_ydata(), level)
    assert "1 of 4 workers are hostile" in caption_of(drawn)


def test_what_no_reach_is_drawn_of(near_rows):
    rows = near_rows
    for own, words in (
        (rows[rows["selection"] == "random"], "no cell here is a federation under a gradient attack"),
        (rows.assign(workers=0, hostile=0), "no cell here is a federation under a gradient attack"),
        (pd.concat([rows, rows.assign(epochs=2)]), "epochs is 1 or 2"),
    ):
        with pytest.raises(TurncoatError, match=words):
            near_anew(own, None, quiet)


def test_training_under_an_imitation_is_what_the_rows_stand_for():
    results = train(
        load("digits"),
        threats=[Threat(selection="imitate:sign_flip")],
        seeds=[0],
        recipe=RECIPE,
        federation=FEDERATION,
    )
    assert {run.threat.selection for run in results.runs} >= {"imitate:sign_flip"}


@pytest.mark.parametrize(
    ("budgets", "told"),
    [
        (2, "budget is 2, but it is a share"),
        ("", "budget is ''"),
        ("abc", "budget is 'abc'"),
        ([], "there is no budget"),
        ([0.2, None], "budget is None"),
    ],
)
def test_budgets_are_judged_before_anything_is_trained(near_rows, budgets, told, as_users_run):
    with pytest.raises(TurncoatError, match=told):
        near_anew(near_rows.iloc[:0], None, quiet, budgets=budgets)


def test_a_choice_is_judged_before_a_picture_is_made(near_rows, tmp_path, monkeypatch):
    monkeypatch.setattr(figure, "read", lambda store, kind: near_rows)
    monkeypatch.setattr(figure, "refuse_unreadable", lambda store: None)
    words = ["reach", "--choose", "captioned=2", "-o", str(tmp_path / "a.png")]
    with pytest.raises(TurncoatError, match="captioned is 2, but must be true or false"):
        figure.figure.main(words, standalone_mode=False)
