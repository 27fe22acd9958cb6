"""Pictures of the strongest rule of each budget: training data choose it, and the test set does not."""

import pandas as pd
import pytest

from turncoat import TurncoatError
from turncoat.figures import FIGURES, caption_of, cells

STRONGEST = {"selection": "strongest"}


@pytest.fixture
def rivals(curves: pd.DataFrame) -> pd.DataFrame:
    """A made-up rule that is worse on test data everywhere, and on training data at one budget alone."""
    optimal = curves[(curves["selection"] == "optimal") & (curves["write_access"] > 0)]
    here = (
        (optimal["write_access"] == 0.4)
        & (optimal["local_budget"] == 0.5)
        & (optimal["goal"] == "untargeted")
    )
    learned = optimal["train_accuracy"] + 0.1 - 0.2 * here
    # a seed in which it would be otherwise: the mean over seeds decides
    learned += 0.15 * (here & (optimal["seed"] == 1))
    other = optimal.assign(selection="made_up", accuracy=optimal["accuracy"] - 0.2, train_accuracy=learned)
    return pd.concat([curves, other], ignore_index=True)


def test_each_budget_and_goal_has_its_strongest_rule(curves: pd.DataFrame, rivals: pd.DataFrame) -> None:
    key = ["write_access", "local_budget", "goal", "seed", "epoch"]
    runs = cells.read(rivals.sample(frac=1, random_state=0), STRONGEST, "accuracy")
    found = runs.attacked.set_index(key)["accuracy"].sort_index()
    wanted = curves[(curves["selection"] == "optimal") & (curves["write_access"] > 0)].set_index(key)
    wanted = wanted["accuracy"].sort_index()
    k, b, goal = (wanted.index.get_level_values(n) for n in range(3))
    there = (k == 0.4) & (b == 0.5) & (goal == "untargeted")
    pd.testing.assert_series_equal(found, wanted - 0.2 * there)
    assert len(runs.random) and len(runs.clean) and runs.attack == "strongest"


@pytest.mark.parametrize("name", ["budget", "heatmap", "harm"])
def test_the_caption_says_what_is_shown(rivals: pd.DataFrame, name: str) -> None:
    text = caption_of(FIGURES[name].draw(rivals, where=STRONGEST))
    assert "of each budget and goal the rule that harms most on training data" in text


def test_one_goal_may_be_kept(rivals: pd.DataFrame) -> None:
    assert cells.read(rivals, STRONGEST | {"goal": "targeted"}, "accuracy").goals == ["targeted"]


def test_what_cannot_be_chosen_is_one_line(rivals: pd.DataFrame) -> None:
    old = rivals.assign(train_accuracy=rivals["train_accuracy"].where(rivals["selection"] != "made_up"))
    for frame in (old, rivals.drop(columns="train_accuracy")):
        with pytest.raises(
            TurncoatError, match="written before it was measured; sweep them into a new store"
        ):
            cells.read(frame, STRONGEST, "accuracy")
    with pytest.raises(TurncoatError, match="no attacked runs but random flips"):
        cells.read(rivals[rivals["selection"] == "random"], STRONGEST, "accuracy")
