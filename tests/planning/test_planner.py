"""The search for a plan, and training by it."""

import itertools

import numpy as np
import pytest
import torch

import turncoat
from clouds import blobs
from turncoat import Federation, Recipe, Threat, TurncoatError, models, train
from turncoat.planning import saving, starts
from turncoat.planning.costates import outcome
from turncoat.planning.planner import Planner
from turncoat.planning.reach import Reach
from turncoat.planning.scene import Scene
from turncoat.randomness import generator

RECIPE = Recipe(epochs=5, learning_rate=0.5, batch_size=20)
THREATS = [Threat(k, b, selection="planned") for k, b in ((1.0, 0.3), (0.3, 1.0))]


def scene(data, pairs=((1.0, 0.3), (0.3, 1.0)), name="logistic", recipe=RECIPE, **other):
    model = models.build(name, data)
    sizes = [int(k * data.n) for k, _ in pairs]
    flips = [int(b * size) for (_, b), size in zip(pairs, sizes, strict=True)]
    given = {
        "model": model,
        "x": model.prepare(data.x),
        "y": data.y,
        "recipe": recipe,
        "batches": -(-data.n // recipe.batch_size),
        "seed": 0,
        "start": model.init(generator(0, "init"), 1),
        "goal": "untargeted",
        "order": torch.randperm(data.n, generator=generator(0, "access", 0)),
        "sizes": torch.tensor(sizes),
        "flips": torch.tensor(flips),
        "fixed": False,
    }
    return Scene(**given | other)


def planned(here, rounds=14):
    planner = Planner(here, rounds)
    assert list(planner.advance()) == list(range(1, rounds + 1))
    return planner


@pytest.mark.parametrize("name", ["logistic", "mlp:6"])
@pytest.mark.parametrize("goal", ["untargeted", "targeted"])
def test_a_plan_is_never_worse_than_its_best_start(multi, name, goal):
    here = scene(multi, name=name, goal=goal)
    planner = planned(here)
    course, reach = planner.view.course(here.sample(99)), here.reach(here.sample(99))
    first = starts.together(course, reach, here)
    wide = reach.times(len(starts.of_scene(here)))
    from turncoat.planning.descent import labels_of

    began = outcome(course, labels_of(course, wide, first, first.ledger.plan)).view(-1, 2).min(0).values
    rows = torch.arange(len(here.y))
    soft = torch.stack(
        [planner.policy().soft_labels(here.x, here.y, p, here.reach(rows)) for p in range(course.phases)]
    )
    ended = outcome(planner.view.course(rows), soft)
    assert (ended <= began + 1e-4).all()
    torch.testing.assert_close(ended, planner.state.judged, rtol=1e-3, atol=1e-3)


def test_plans_side_by_side_are_those_made_alone(multi):
    together = planned(scene(multi)).state.judged
    alone = [planned(scene(multi, [pair])).state.judged for pair in ((1.0, 0.3), (0.3, 1.0))]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0.02, atol=0.01)


def test_a_planner_goes_on_to_the_bit(multi):
    whole = planned(scene(multi))
    for stop in (3, 10, 12):
        first = Planner(scene(multi), 14)
        for done in first.advance():
            if done == stop:
                break
        again = Planner(scene(multi), 14)
        saving.restore(again, {k: v.copy() for k, v in saving.to_arrays(first).items()})
        list(again.advance())
        assert torch.equal(again.state.judged, whole.state.judged)
        assert again.found_from == whole.found_from


def test_against_every_labelling_of_a_tiny_set():
    """Labels fixed before training: the plan, relaxed, is at most so much above the best of all labellings."""
    data = blobs(2, n=10, m=10, d=2, seed=4)
    here = scene(data, [(1.0, 0.31)], fixed=True, once=True, recipe=Recipe(epochs=20, learning_rate=0.5))
    planner = planned(here, 40)
    course = planner.view.course(torch.arange(10))
    found = []
    for chosen in itertools.chain.from_iterable(itertools.combinations(range(10), r) for r in range(4)):
        labels = data.y.clone()
        labels[list(chosen)] = 1 - labels[list(chosen)]
        found.append(torch.nn.functional.one_hot(labels, 2).float())
    every = outcome(course, torch.stack(found, 2).unsqueeze(0))
    assert float(planner.state.judged) <= float(every.min()) + 0.05


@pytest.mark.parametrize("placement", ["resampled", "fixed"])
@pytest.mark.parametrize("schedule", ["epoch", "once"])
def test_training_by_a_plan_keeps_the_budget_and_harms_more(multi, placement, schedule):
    if schedule == "once" and placement == "fixed":
        pytest.skip("once is placed once, whatever placement says")
    given = {"placement": placement, "schedule": schedule}
    results = train(
        multi,
        threats=[Threat(0.6, 0.5, selection=s, **given) for s in ("planned", "random")],
        seeds=range(2),
        recipe=RECIPE,
    )
    table = results.summary().set_index("selection")
    assert (results.to_pandas()["flips"] <= 21).all()
    assert table.loc["planned", "flips"] > 15
    assert table.loc["planned", "accuracy.mean"] < table.loc["random", "accuracy.mean"] - 0.1


def test_a_plan_harms_more_than_the_optimum_of_each_round(digits):
    recipe = Recipe(epochs=3, learning_rate=0.2)
    threats = [Threat(1.0, 0.3, selection=s) for s in ("planned", "optimal")]
    table = train(digits, threats=threats, seeds=[0], recipe=recipe).summary()
    table = table[table["write_access"] > 0].set_index("selection")
    assert table.loc["planned", "accuracy.mean"] < table.loc["optimal", "accuracy.mean"] - 0.05


def test_a_plan_for_the_end_is_stronger_there(multi):
    recipe = Recipe(epochs=20, learning_rate=0.5, batch_size=70)  # of which "planned" aims at the last two
    threats = [Threat(1.0, 0.3, selection=s) for s in ("planned", "planned:last")]
    results = train(multi, threats=threats, seeds=range(2), recipe=recipe)
    mean, last = (
        np.array([run.curve("train_accuracy")[-1] for run in results.runs if run.threat == threat])
        for threat in threats
    )
    assert (last < mean - 0.05).all()


@pytest.mark.parametrize("selection", ["planned", "planned:last"])
def test_a_plan_for_the_last_rounds_flips_in_these_alone(multi, selection):
    threats = [Threat(0.6, 0.5, selection=selection, last_rounds=n) for n in (1, 2, 0)]
    results = train(multi, threats=threats, seeds=[0], recipe=RECIPE)
    for run in results.runs:
        if not run.threat.is_clean:
            last = run.threat.last_rounds or RECIPE.epochs
            flips = run.curve("flips")
            assert (flips[: RECIPE.epochs - last] == 0).all() and (flips[RECIPE.epochs - last :] > 15).all()
    plan = turncoat.plan(
        multi, threat=threats[0], recipe=RECIPE, rounds=4, at=selection.partition(":")[2] or "mean"
    )
    assert torch.equal(plan.soft_labels(multi.x, multi.y, 0).argmax(1), multi.y)
    assert plan.policy.still == len(plan.phases) - 1


@pytest.mark.parametrize("knowledge", ["local", "surrogate"])
@pytest.mark.parametrize("placement", ["resampled", "fixed"])
def test_a_planner_may_know_its_own_rows_alone(multi, knowledge, placement):
    threat = Threat(0.6, 0.5, selection="planned", knowledge=knowledge, placement=placement)
    table = train(multi, threats=[threat], seeds=[0], recipe=RECIPE).summary()
    assert table["harm.mean"].iloc[1] > 0.1
    assert 15 < table["flips"].iloc[1] <= 21


def test_hostile_workers_plan(multi):
    crowd = Federation(workers=7, hostile=3)
    threats = [Threat(local_budget=0.8, selection=s) for s in ("planned", "random")]
    table = train(multi, threats=threats, seeds=[0], recipe=RECIPE, federation=crowd).summary()
    own = table.set_index("selection")
    assert own.loc["planned", "flips"] <= 24
    assert own.loc["planned", "accuracy.mean"] < own.loc["random", "accuracy.mean"]


@pytest.mark.parametrize("seed", [0, 5])
def test_the_test_set_is_never_looked_at(multi, seed):
    from turncoat import from_arrays

    other = from_arrays(
        multi.x.numpy(), multi.y.numpy(), x_test=-3 * multi.x_test.numpy(), y_test=multi.y_test.numpy()
    )
    flips = []
    for data in (multi, other):
        run = train(data, threats=THREATS[:1], seeds=[seed], recipe=RECIPE).to_pandas()
        flips.append(run[["flips", "objective_after"]].to_numpy())
    np.testing.assert_array_equal(*flips)


@pytest.mark.parametrize(
    ("threat", "recipe", "words"),
    [
        (Threat(0.5, selection="planned"), Recipe(optimizer="adam"), "sgd"),
        (Threat(0.5, selection="planned", schedule="step"), Recipe(), "schedule"),
        (Threat(0.5, selection="planned:last", schedule="epoch/4"), Recipe(), "schedule"),
        (Threat(0.5, selection="planned:mean"), Recipe(), "planned:last"),
        (Threat(0.5, selection="planed"), Recipe(), "did you mean 'planned'"),
    ],
)
def test_what_no_plan_is_made_for(multi, threat, recipe, words):
    with pytest.raises(TurncoatError, match=words):
        train(multi, threats=[threat], seeds=[0], recipe=recipe)


def test_a_reach_is_what_the_threats_say(multi):
    here = scene(multi)
    reach = here.reach()
    assert isinstance(reach, Reach)
    torch.testing.assert_close(reach.limit, torch.tensor([[1.0, 0.3]]))
    torch.testing.assert_close(reach.mass, torch.tensor([21.0, 21.0]).double())
