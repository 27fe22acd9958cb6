"""Plans to keep: made, looked at, saved, read and followed."""

import warnings

import numpy as np
import pytest
import torch

import turncoat
from turncoat import Plan, Recipe, Threat, TurncoatError

RECIPE = Recipe(epochs=4, learning_rate=0.5, batch_size=20)
THREAT = Threat(0.5, 0.5)


@pytest.fixture(scope="module", params=["logistic", "mlp:4"])
def made(request, multi):
    return turncoat.plan(multi, request.param, THREAT, RECIPE, rounds=4)


def test_its_labels_are_within_reach(made, multi):
    soft = made.soft_labels(multi.x, multi.y, round=3)
    own = 1 - soft.gather(1, multi.y.unsqueeze(1)).squeeze(1)
    assert float(own.max()) <= 0.5 + 1e-6
    assert float(own.sum()) <= 17 + 1e-3
    assert len(made.objective) == 4 and made.objective[-1] <= 1


def test_its_table_says_which_class_goes_to_which(made, multi):
    table = made.table(multi.x, multi.y)
    torch.testing.assert_close(table.sum(1), torch.ones(4))
    soft = [made.soft_labels(multi.x, multi.y, turn) for turn in range(4)]
    mean = torch.stack(soft).mean(0)
    torch.testing.assert_close(table[2], mean[multi.y == 2].mean(0), rtol=1e-4, atol=1e-5)


def test_its_rounds_flip_members_alone_and_no_more_than_the_budget(made, multi):
    draw = torch.Generator().manual_seed(0)
    for turn in range(40):
        members = torch.randperm(70, generator=draw)[:35]
        new = made.flips(multi.x, multi.y, members, turn % 4, draw)
        changed = (new != multi.y).nonzero().squeeze(1)
        assert set(changed.tolist()) <= set(members.tolist())
        assert len(changed) <= 17


def test_it_is_saved_and_read(made, multi, tmp_path):
    path = tmp_path / "plan.npz"
    made.save(path)
    again = Plan.load(path)
    assert again.made == made.made
    for turn in range(4):
        assert torch.equal(
            again.soft_labels(multi.x, multi.y, turn), made.soft_labels(multi.x, multi.y, turn)
        )
    again.check(Threat(0.5, 0.5, selection="planned"), RECIPE)


def test_training_by_selection_follows_the_same_plan(multi):
    """What ``train`` plans for itself is what ``plan`` makes of the same threat, recipe and seed."""
    from turncoat import models
    from turncoat.training.stack import material, stack_run

    made = turncoat.plan(multi, "logistic", THREAT, RECIPE, seed=2)
    data = material(models.build("logistic", multi), multi, "cpu")
    run = stack_run(data, RECIPE, 2, (Threat(0.5, 0.5, selection="planned"),))
    list(run.advance())
    own = run.plans[0].planner.policy()
    for leg, other in zip(own.legs, made.policy.legs, strict=True):
        assert torch.equal(leg.direction["weight"], other.direction["weight"])


def test_a_plan_of_something_else_is_refused(made, multi, binary, tmp_path):
    path = tmp_path / "plan.npz"
    made.save(path)
    with pytest.raises(TurncoatError, match="fingerprint"):
        Plan.load(path, binary)
    with pytest.raises(TurncoatError, match="made for model"):
        Plan.load(path, multi, model="mlp:9")
    with pytest.raises(TurncoatError, match="local_budget"):
        made.check(Threat(0.5, 0.4), RECIPE)
    with pytest.raises(TurncoatError, match="epochs"):
        made.check(THREAT, Recipe(epochs=5, learning_rate=0.5, batch_size=20))


def test_unreadable_files_are_one_line(tmp_path):
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK\x03\x04 nothing")
    other = tmp_path / "other.npz"
    np.savez(other, a=np.arange(3))
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, made=np.array([{}], dtype=object))
    for path in (broken, other, pickled, tmp_path / "absent.npz", tmp_path):
        with pytest.raises(TurncoatError) as error, warnings.catch_warnings():
            warnings.simplefilter("error")
            Plan.load(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rounds": 0}, "rounds"),
        ({"threat": Threat(0.001)}, "never flip"),
        ({"threat": "optimal"}, "Threat"),
        ({"recipe": Recipe(optimizer="adam")}, "sgd"),
        ({"threat": Threat(0.5, schedule="step")}, "schedule"),
        ({"dataset": 3}, "Dataset"),
        ({"progress": 5}, "progress"),
        ({"thread": None}, "threat"),
    ],
)
def test_bad_input_is_one_line(multi, given, words, as_users_run):
    with pytest.raises(TurncoatError, match=words):
        turncoat.plan(**({"dataset": multi, "recipe": RECIPE, "threat": THREAT, "rounds": 2} | given))


def test_a_model_without_second_derivatives_is_refused(multi, monkeypatch):
    from turncoat.planning import scene

    monkeypatch.setattr(scene, "sharpest", lambda *given: float("nan"))
    with pytest.raises(TurncoatError, match="second derivative"):
        turncoat.plan(multi, "mlp:4", THREAT, RECIPE, rounds=2)
