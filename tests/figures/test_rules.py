"""The table of rules by budget."""

import numpy as np
import pandas as pd
import pytest

from turncoat import TurncoatError
from turncoat.figures import FIGURES, caption_of


def rows(rule, cost, k=1.0, b=0.25, **columns):
    usual = {
        "dataset": "digits", "scale": "unit", "model": "logistic", "epochs": 4, "batch_size": 64, "learning_rate": 0.2,
        "optimizer": "sgd", "schedule": "epoch", "last_rounds": 0, "goal": "untargeted", "chance": 0.1, "epoch": 4,
    }  # fmt: skip
    return [
        usual
        | {"selection": rule, "write_access": k, "local_budget": b, "seed": s, "accuracy": 0.9 - cost}
        | columns
        for s in range(2)
    ]


@pytest.fixture
def frame():
    found = rows("optimal", 0.0, k=0.0, b=1.0)
    for k, b in ((1.0, 0.25), (0.25, 1.0)):
        for rule, cost in (("planned", 0.5 * k), ("optimal", 0.3), ("random", 0.01)):
            found += rows(rule, cost, k, b)
    return pd.DataFrame(found)


def test_a_row_per_rule_and_a_column_per_budget_the_least_bold(frame):
    figure = FIGURES["rules"].draw(frame)
    ax = figure.axes[0]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1, 0.25", "0.25, 1"]
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert set(names) == {"planned", "optimal", "random"} and names[0] == "random"  # drawn upwards
    bold = {t.get_text() for t in ax.texts if t.get_weight() == "bold"}
    assert bold == {"40", "60"}  # planned where access is wide, optimal where it is narrow
    assert "random flips" not in (caption_of(figure) or "").lower()


def test_rules_are_told_apart_by_when_they_flip(frame):
    more = pd.DataFrame(rows("optimal", 0.1, schedule="step") + rows("planned", 0.2, last_rounds=1))
    figure = FIGURES["rules"].draw(pd.concat([frame, more]))
    names = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert {"optimal, step, all along", "planned, epoch, last 1", "planned, epoch, all along"} <= set(names)


def test_what_cannot_be_drawn(frame):
    with pytest.raises(TurncoatError, match="only clean runs"):
        FIGURES["rules"].draw(frame[frame["write_access"] == 0])
    with pytest.raises(TurncoatError, match="mix several settings"):
        FIGURES["rules"].draw(pd.concat([frame, frame.assign(dataset="mnist")]))
    with pytest.raises(TurncoatError, match="metric"):
        FIGURES["rules"].draw(frame.assign(test_loss=1.0), metric="test_loss")
    assert np.isfinite(frame["accuracy"]).all()
