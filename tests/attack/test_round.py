"""A round on a stack against autograd, one replica at a time, and against all labelings of a small set."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from test_selection import BAD

from turncoat import Recipe, Threat, TurncoatError, train
from turncoat.attack.choosing import Quota, chooser
from turncoat.attack.round import gradient_change, mean_gradient, report
from turncoat.attack.selection import SELECTIONS
from turncoat.direction import targeted, untargeted
from turncoat.models.logistic import WEIGHT, logistic

N, D = 6, 3


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def stack(classes, replicas, chunk=4):
    """A stack of different replicas with few examples per pass, and data for it, in float64."""
    model = dataclasses.replace(logistic(D, classes), chunk=chunk)
    shape = model.init(draw(), replicas)[WEIGHT].shape
    params = {WEIGHT: torch.randn(shape, generator=draw(1), dtype=torch.float64)}
    x = model.prepare(torch.randn(N, D, generator=draw(2), dtype=torch.float64))
    return model, params, x, torch.randint(classes, (N,), generator=draw(3))


def slope(params, replica, x, y):
    """Gradient of one replica's mean loss by autograd, (d, rows)."""
    weight = params[WEIGHT][:, :, replica].clone().requires_grad_()
    z = x @ weight
    if z.shape[1] == 1:
        loss = torch.nn.functional.binary_cross_entropy_with_logits(z[:, 0], y.double())
    else:
        loss = torch.nn.functional.cross_entropy(z, y)
    return torch.autograd.grad(loss, weight)[0]


@pytest.mark.parametrize("classes", [2, 3])
def test_mean_gradient_is_autograds(classes):
    model, params, x, _ = stack(classes, 4)
    labels = torch.randint(classes, (N, 4), generator=draw(5))
    whole = mean_gradient(model, params, x, labels)[WEIGHT]
    sizes = torch.tensor([6, 5, 2, 0])
    parts = mean_gradient(model, params, x, labels, sizes)[WEIGHT]
    for j, size in enumerate(sizes.tolist()):
        torch.testing.assert_close(whole[:, :, j], slope(params, j, x, labels[:, j]))
        if size:
            wanted = slope(params, j, x[:size], labels[:size, j])
            torch.testing.assert_close(parts[:, :, j], wanted)
    assert not parts[:, :, 3].any()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("goal", ["untargeted", "targeted"])
def test_a_round_attains_the_minimum_at_every_budget_and_reports_it(classes, goal):
    sizes = torch.tensor([6] * 7 + [4] * 5 + [1] * 2)
    budgets = [*range(7), *range(5), 0, 1]
    model, params, x, y = stack(classes, len(sizes))
    members = torch.randperm(N, generator=draw(4))
    honest = mean_gradient(model, params, x, y.unsqueeze(1).expand(-1, len(sizes)))
    target = {WEIGHT: torch.randn(D + 1, params[WEIGHT].shape[1], 1, generator=draw(6)).double()}
    toward = untargeted(honest) if goal == "untargeted" else targeted(params, target)
    quotas = [Quota(j, 0, int(s), b) for j, (s, b) in enumerate(zip(sizes, budgets, strict=True))]
    own = y[members]
    new = chooser(SELECTIONS["optimal"], model, params, toward, x, members, own, sizes, draw())(quotas, None)
    old = own.unsqueeze(1).expand_as(new)
    change = gradient_change(model, params, x, members, old, new, sizes, N)
    seen = report(honest, change, toward, (new != old).sum(0), model.replica_axis)
    for j, (size, budget) in enumerate(zip(sizes.tolist(), budgets, strict=True)):
        delta = toward[WEIGHT][:, :, j]

        def poisoned(labels, j=j, size=size):
            y_new = y.clone()
            y_new[members[:size]] = labels
            return slope(params, j, x, y_new)

        best = min(
            -float((poisoned(torch.tensor(labels)) * delta).sum())
            for labels in itertools.product(range(classes), repeat=size)
            if sum(a != b for a, b in zip(labels, own[:size].tolist(), strict=True)) <= budget
        )
        after, before = poisoned(new[:size, j]), slope(params, j, x, y)
        assert torch.equal(new[size:, j], own[size:])
        assert float(seen.flips[j]) == int((new[:, j] != own).sum()) <= budget
        assert -float((after * delta).sum()) == pytest.approx(best, abs=1e-6)
        assert float(seen.objective_after[j]) == pytest.approx(best, abs=1e-6)
        assert float(seen.objective_before[j]) == pytest.approx(-float((before * delta).sum()), abs=1e-9)
        cosine = float((after * before).sum() / after.norm() / before.norm())
        assert float(seen.cosine[j]) == pytest.approx(cosine, abs=1e-6)
        torch.testing.assert_close(honest[WEIGHT][:, :, j] + change[WEIGHT][:, :, j], after)


@pytest.mark.parametrize("name", ["optimal", "as_printed", "last_layer", "random", "cyclic", "mirror"])
@pytest.mark.parametrize("classes", [2, 4])
def test_a_named_rule_does_in_a_stack_what_it_does_alone(name, classes):
    model, params, x, y = stack(classes, 3)
    members, sizes = torch.arange(N), torch.tensor([6, 5, 2])
    toward = {WEIGHT: torch.randn(params[WEIGHT].shape, generator=draw(8)).double()}
    quotas = [Quota(0, 0, 6, 4), Quota(1, 0, 5, 2), Quota(2, 0, 2, 2)]

    def alone(scores, labels, flips, generator):
        return SELECTIONS[name](scores, labels, flips, generator)

    batched, single = (
        chooser(rule, model, params, toward, x, members, y, sizes, draw(9))(quotas, None)
        for rule in (SELECTIONS[name], alone)
    )
    assert torch.equal(batched, single)
    assert (batched != y.unsqueeze(1)).any()


def test_quotas_of_one_replica_are_kept_apart():
    model, params, x, y = stack(2, 1)
    quotas = [Quota(0, 0, 3, 1), Quota(0, 3, 6, 2)]
    toward = {WEIGHT: torch.full_like(params[WEIGHT], -100.0)}

    def all_allowed(scores, labels, flips, generator):
        new = labels.clone()
        new[:flips] = 1 - new[:flips]
        return new

    for rule in (SELECTIONS["cyclic"], all_allowed):
        new = chooser(rule, model, params, toward, x, torch.arange(6), y, torch.tensor([6]), draw())(
            quotas, None
        )
        changed = (new[:, 0] != y).tolist()
        assert (sum(changed[:3]), sum(changed[3:])) == (1, 2)


def test_flips_on_rows_that_cancel_the_gradient_have_no_direction():
    """With a gradient of zero, or one whose square is zero in float32, the cosine is still a cosine."""
    axis = {WEIGHT: 2}
    honest = {WEIGHT: torch.tensor([[[1.0, 0.0, 1e-24]]])}
    change = {WEIGHT: torch.tensor([[[-1.0, 0.0, 1.0]]])}
    seen = report(honest, change, untargeted(honest), torch.tensor([1, 0, 1]), axis)
    assert np.isfinite(seen.cosine.numpy()).all() and seen.cosine.abs().max() <= 1


@pytest.mark.parametrize("rule", BAD)
@pytest.mark.parametrize("schedule", ["epoch", "step", "once"])
def test_a_bad_rule_stops_training_with_one_line(rule, schedule, binary):
    threat = Threat(0.5, 0.2, selection=rule, schedule=schedule)
    with pytest.raises(TurncoatError, match=BAD[rule]) as told:
        train(binary, threats=[threat], seeds=[0], recipe=Recipe(epochs=1))
    assert len(str(told.value).splitlines()) == 1
