"""The stacked engine against the one-by-one oracle, and what must not depend on how runs are stacked."""

import numpy as np
import pytest
import torch
from one_by_one import train_one

from turncoat import Recipe, Threat, models, train
from turncoat.threat import CLEAN
from turncoat.training.stack import material, stack_run

pytestmark = pytest.mark.filterwarnings("ignore:idle-threat")  # budgets of nothing are among those tried

RECIPE = Recipe(epochs=3, batch_size=24, learning_rate=0.3)
RULES = ("optimal", "as_printed", "random", "cyclic")


def check(data, threats, recipe=RECIPE, seeds=(0,), tolerance=1e-5):
    results = train(data, threats=threats, seeds=seeds, recipe=recipe)
    assert {run.threat for run in results.runs} == {CLEAN, *threats}
    for run in results.runs:
        wanted, _ = train_one(data, run.threat, run.seed, recipe)
        assert run.curves.shape == wanted.shape, run.threat
        np.testing.assert_allclose(
            run.curves, wanted, rtol=tolerance, atol=tolerance, err_msg=f"{run.threat}, seed {run.seed}"
        )
    return results


@pytest.mark.parametrize("kind", ["binary", "multi"])
@pytest.mark.parametrize("goal", ["untargeted", "targeted"])
def test_every_rule_matches_one_by_one_training(kind, goal, request):
    threats = [Threat(0.6, 0.5, goal=goal, selection=rule) for rule in RULES]
    threats += [Threat(0.25, 1.0, goal=goal), Threat(1.0, 0.3, goal=goal, placement="fixed")]
    threats += [Threat(0.4, 0.9, goal=goal, selection="random", placement="fixed")]
    results = check(request.getfixturevalue(kind), threats, seeds=(3,))
    attacked = [run.curve("flips").sum() for run in results.runs if not run.threat.is_clean]
    assert min(attacked) > 0


@pytest.mark.parametrize("kind", ["binary", "multi"])
@pytest.mark.parametrize("schedule", ["step", "once"])
def test_schedules_match_one_by_one_training(kind, schedule, request):
    threats = [
        Threat(0.5, 0.5, schedule=schedule),
        Threat(0.9, 0.4, schedule=schedule, goal="targeted"),
        Threat(0.9, 0.4, schedule=schedule, placement="fixed"),
        Threat(0.3, 1.0, schedule=schedule, goal="targeted", placement="fixed", selection="random"),
        Threat(0.7, 0.5, schedule=schedule, selection="as_printed"),
        Threat(0.3, 1.0, schedule=schedule, selection="cyclic"),
    ]
    check(request.getfixturevalue(kind), threats)


@pytest.mark.parametrize("schedule", ["epoch/2", "epoch/3", "epoch/100"])
def test_several_rounds_in_an_epoch_match_one_by_one_training(schedule, multi):
    batches = -(-multi.n // 24)  # no more rounds than mini-batches
    given = {"schedule": schedule if schedule != "epoch/100" else f"epoch/{batches}"}
    threats = [
        Threat(0.5, 0.5, **given),
        Threat(0.9, 0.4, goal="targeted", **given),
        Threat(0.4, 0.9, placement="fixed", **given),
        Threat(0.3, 1.0, selection="random", **given),
        Threat(0.4, 0.7, knowledge="surrogate", **given),
    ]
    check(multi, threats)


@pytest.mark.parametrize("schedule", ["epoch", "step", "epoch/2"])
def test_a_strike_in_the_last_rounds_matches_one_by_one_training(schedule, multi):
    threats = [Threat(0.5, 0.5, schedule=schedule, last_rounds=last) for last in (1, 2)]
    threats += [Threat(0.5, 0.5, schedule=schedule, selection="random", last_rounds=1)]
    results = check(multi, threats)
    for run in results.runs:
        if not run.threat.is_clean:
            struck = run.curve("flips") > 0
            assert not struck[: -run.threat.last_rounds].any() and struck[-run.threat.last_rounds :].all()


@pytest.mark.parametrize("kind", ["binary", "multi"])
@pytest.mark.parametrize("knowledge", ["local", "surrogate"])
@pytest.mark.parametrize("schedule", ["epoch", "step"])
def test_knowledge_matches_one_by_one_training(kind, knowledge, schedule, request):
    threats = [
        Threat(0.5, 0.5, knowledge=knowledge, schedule=schedule),
        Threat(0.2, 1.0, knowledge=knowledge, schedule=schedule),
        Threat(0.6, 0.6, knowledge=knowledge, schedule=schedule, goal="targeted"),
        Threat(0.4, 0.7, knowledge=knowledge, schedule=schedule, placement="fixed"),
    ]
    check(request.getfixturevalue(kind), threats)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(epochs=3, batch_size=24, learning_rate=0.1, momentum=0.9, weight_decay=0.01),
        Recipe(epochs=3, batch_size=24, learning_rate=0.1, weight_decay=0.05),
        # 23: a batch of equally many of each class has a bias gradient of 0, whose rounding Adam blows up
        Recipe(epochs=3, batch_size=23, learning_rate=0.02, optimizer="adam", weight_decay=0.01),
        Recipe(epochs=3, batch_size=1000, learning_rate=0.1),
        Recipe(epochs=40, batch_size=24, learning_rate=0.6, patience=2, held_out=0.2),
    ],
    ids=["momentum", "decay", "adam", "full-batch", "patience"],
)
def test_recipes_match_one_by_one_training(recipe, multi):
    threats = [
        Threat(0.5, 0.6),
        Threat(0.5, 0.6, goal="targeted"),
        Threat(0.5, 0.6, aware=True),
        Threat(0.5, 0.6, knowledge="surrogate", aware=True),
        Threat(0.5, 0.6, schedule="step"),
        Threat(0.5, 0.6, schedule="once"),
    ]
    results = check(multi, threats, recipe, tolerance=1e-4)
    if recipe.patience:
        lengths = {len(run.curves) for run in results.runs}
        assert len(lengths) > 1 and min(lengths) < recipe.epochs


def test_write_access_of_a_smaller_share_is_a_prefix(multi):
    touched = {}
    for k in (0.2, 0.5, 0.9):
        run = stack_run(
            material(models.build("logistic", multi), multi, "cpu"),
            RECIPE,
            5,
            (Threat(k, 1.0, selection="cyclic"),),
        )
        next(run.advance())
        touched[k] = set((run.main.labels[:, 0] != run.task.y).nonzero().flatten().tolist())
        assert len(touched[k]) == int(k * multi.n + 1e-9)
    assert touched[0.2] < touched[0.5] < touched[0.9]


NEIGHBOURS = [
    Threat(0.9, 0.7),
    Threat(0.1, 1.0, selection="random"),
    Threat(0.9, 1.0, selection="random"),
    Threat(0.7, 1.0, goal="targeted"),
    Threat(0.005, 1.0, selection="random"),
    Threat(0.005, 1.0),
    Threat(0.6, 0.5, schedule="step", selection="random"),
    Threat(0.05, 0.5, schedule="step", selection="random"),
    Threat(0.5, 0.5, schedule="once"),
    Threat(0.5, 0.5, knowledge="surrogate"),
]


def noisy(scores, labels, flips, generator):
    """A rule of one's own that draws as many numbers as it has flips."""
    chosen = torch.randperm(len(labels), generator=generator)[:flips]
    new = labels.clone()
    new[chosen] = (new[chosen] + 1) % scores.shape[1]
    return new


MINE = [*NEIGHBOURS[:6], *NEIGHBOURS[7:], Threat(0.3, 0.5, selection=noisy)]


@pytest.fixture(scope="module")
def crowd(multi):
    """All of them and some more together, beside another seed."""
    threats = [*NEIGHBOURS, Threat(0.8, 0.5, selection=noisy), MINE[-1]]
    results = train(multi, threats=threats, seeds=[1, 2], recipe=RECIPE)
    return {run.threat: run for run in results.runs if run.seed == 2}


def named(own):
    """A test's name, the same in every process."""
    rule = getattr(own.selection, "__name__", own.selection)
    return "-".join(
        str(part) for part in (rule, own.schedule, own.placement, own.knowledge, own.write_access)
    )


@pytest.mark.parametrize("own", MINE, ids=named)
def test_a_run_does_not_depend_on_its_neighbours(own, crowd, multi):
    for run in train(multi, threats=[own], seeds=[2], recipe=RECIPE).runs:
        np.testing.assert_allclose(crowd[run.threat].curves, run.curves, rtol=1e-5, atol=1e-6)


def test_labels_that_are_given_are_those_that_are_learned_from(multi):
    """Whatever the goal: a run that has chosen once, and one that is given what it chose, end alike."""
    threats = (Threat(0.5, 0.6, goal="targeted", schedule="once"), Threat(0.5, 0.6, schedule="once"))
    recipe = Recipe(epochs=2, learning_rate=0.3)

    def begun():
        return stack_run(material(models.build("logistic", multi), multi, "cpu"), recipe, 0, threats)

    first, given = begun(), begun()
    list(first.advance())
    assert first.kept is not None and not torch.equal(first.kept[:, 0], first.kept[:, 1])
    given.kept = first.kept
    list(given.advance())
    np.testing.assert_array_equal(given.curves(), first.curves())
