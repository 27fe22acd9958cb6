"""The strongest attack: what a threat admits, and that training data choose."""

import dataclasses

import numpy as np
import pytest

from turncoat import Federation, Recipe, Threat, TurncoatError, train
from turncoat.analysis.results import Results, Run
from turncoat.analysis.strongest import by_strength, candidates, learned
from turncoat.sweep import experiment
from turncoat.threat import CLEAN
from turncoat.training.task import CURVES

RECIPE = Recipe(epochs=20, batch_size=24, learning_rate=0.3)
OPTIMAL, CYCLIC = Threat(0.5, 0.5), Threat(0.5, 0.5, selection="cyclic")


def by_hand(threat: Threat, seed: int, test: float, learned: float) -> Run:
    """A run whose last two of twenty epochs reached these; nothing else may be read of what was learned."""
    values = np.full((20, len(CURVES)), 0.5)
    values[:, CURVES.index("accuracy")] = test
    values[:, CURVES.index("train_accuracy")] = [np.nan] * 18 + [learned - 0.05, learned + 0.05]
    return Run(threat, seed, values)


@pytest.fixture(scope="module")
def setting(multi):
    return train(multi, seeds=[0], recipe=dataclasses.replace(RECIPE, epochs=1)).setting


def test_training_data_choose_where_the_test_set_would_choose_otherwise(setting) -> None:
    runs = []
    for seed, shift in ((0, 0.0), (1, 0.1)):
        runs += [by_hand(CLEAN, seed, 0.9, 0.95), by_hand(OPTIMAL, seed, 0.2 + shift, 0.6 + shift)]
        runs.append(by_hand(CYCLIC, seed, 0.7 + shift, 0.5 + shift))
    results = Results(setting, tuple(runs))
    assert results.harm(OPTIMAL).mean > results.harm(CYCLIC).mean  # as the test set would have it
    assert by_strength(results, [OPTIMAL, CYCLIC]) == [CYCLIC, OPTIMAL]
    assert learned(results, CYCLIC).mean == pytest.approx(0.55)


def test_what_was_not_measured_chooses_nothing(setting) -> None:
    results = Results(setting, (by_hand(CLEAN, 0, 0.9, 0.95), by_hand(OPTIMAL, 0, 0.2, np.nan)))
    with pytest.raises(TurncoatError, match="no accuracy on training data, by which the strongest is chosen"):
        by_strength(results, [OPTIMAL])
    with pytest.raises(TurncoatError, match="no accuracy on training data"):
        by_strength(results, [CYCLIC])


def test_accuracy_on_training_data_is_that_of_the_clean_labels(multi) -> None:
    """Trained on the test set's own rows, a model is as good on the one as on the other."""
    same = dataclasses.replace(multi, x_test=multi.x, y_test=multi.y)
    run = train(same, threats=[Threat(1.0, 0.4)], seeds=[0], recipe=RECIPE).runs[1]
    found, test = run.curve("train_accuracy"), run.curve("accuracy")
    assert np.isnan(found[:18]).all()
    np.testing.assert_array_equal(found[18:], test[18:])


@pytest.mark.parametrize(
    ("threat", "recipe", "federation", "wanted"),
    [
        (Threat(0.5), RECIPE, Federation(), {"planned", "optimal", "as_printed"}),
        (Threat(0.5, schedule="step"), RECIPE, Federation(), {"optimal", "as_printed"}),
        (Threat(0.5), Recipe(optimizer="adam"), Federation(), {"optimal", "as_printed"}),
        (
            Threat(),
            RECIPE,
            Federation(workers=4, hostile=1),
            {"planned", "optimal", "as_printed", "least_likely"},
        ),
    ],
)
def test_rules_that_are_admitted(threat, recipe, federation, wanted) -> None:
    found = candidates(threat, recipe, federation)
    for goal in ("untargeted", "targeted"):
        with_goal = {t.selection for t in found if t.goal == goal}
        assert wanted <= with_goal if goal == "untargeted" else with_goal == wanted
    blind = {"class_by_class", "cyclic", "random"} | ({"mirror"} if federation.workers else set())
    assert {t.selection for t in found} == wanted | blind
    assert len(found) == len(set(found)) == 2 * len(wanted) + len(blind)


def test_a_file_names_them_by_one_word() -> None:
    keys = {"epochs": 2, "seeds": 2, "write_access": [0.2, 0.5], "selection": "strongest"}
    cells = experiment.cells(experiment.experiment(keys))
    assert len(cells) == 2 * (1 + 2 * 9)
    assert "strongest" not in {cell.threat.selection for cell in cells}
    one = experiment.cells(experiment.experiment(keys | {"goal": "targeted", "optimizer": "adam"}))
    assert {(c.threat.selection, c.threat.goal) for c in one if not c.threat.is_clean} == {
        ("optimal", "targeted"),
        ("as_printed", "targeted"),
        *((rule, "untargeted") for rule in ("class_by_class", "cyclic", "random")),
    }


def test_it_is_no_rule_itself(multi) -> None:
    with pytest.raises(TurncoatError, match="'strongest' stands for every rule"):
        train(multi, threats=[Threat(0.5, selection="strongest")], recipe=RECIPE)
