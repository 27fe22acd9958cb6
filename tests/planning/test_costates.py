"""Scores along the costates against autograd through the whole training."""

import pytest
import torch
from courses import course, kept_few, objective, random_labels

from turncoat.models.curvature import mean_hessian_product
from turncoat.planning import ledger
from turncoat.planning.costates import outcome, way_back

KINDS = [
    {},
    {"goal": "targeted"},
    {"decay": 0.1, "scaled": True},
    {"name": "mlp:5", "rate": 0.1},
    {"name": "mlp:4", "rate": 0.2, "decay": 0.05, "goal": "targeted"},
    {"name": "courses_nets:smooth", "rate": 0.2},
]


def worths(here, found):
    one = torch.ones(len(found.legs), len(found.objective), dtype=torch.float64)
    parts = [ledger.worth(here.model, here.x, found.legs, one, phase) for phase in range(here.phases)]
    return torch.stack(parts)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", ["binary", "multi"])
def test_worth_is_the_gradient_of_the_aim_through_the_whole_training(kind, classes, request):
    here = course(request.getfixturevalue(classes), **kind)
    soft = random_labels(here)
    found = way_back(here, soft, legs=here.steps)
    leaf = soft[..., 0].clone().requires_grad_()
    value = objective(here, leaf)
    (slope,) = torch.autograd.grad(value, leaf)
    assert float(found.objective[0]) == pytest.approx(float(value.detach()), abs=1e-9)
    got = worths(here, found)[..., 0] / len(here.y)
    # rows of soft labels sum to one: what is the same for all labels of an example is no slope
    got, slope = (part - part.mean(2, keepdim=True) for part in (got, slope))
    torch.testing.assert_close(got, slope, rtol=1e-6, atol=1e-9)


def test_worth_by_finite_differences(multi):
    here = course(multi)
    soft = random_labels(here)
    got = worths(here, way_back(here, soft))[1, 7, :, 0] / len(here.y)
    step = 1e-5
    more, less = soft.clone(), soft.clone()
    more[1, 7, 2], more[1, 7, 0] = soft[1, 7, 2] + step, soft[1, 7, 0] - step
    less[1, 7, 2], less[1, 7, 0] = soft[1, 7, 2] - step, soft[1, 7, 0] + step
    ends = [float(way_back(here, labels).objective[0]) for labels in (more, less)]
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(float(got[2] - got[0]), rel=1e-5)


@pytest.mark.parametrize("name", ["logistic", "mlp:5"])
def test_a_course_that_is_computed_again_is_the_same(multi, name, monkeypatch):
    here = course(multi, name)
    soft = random_labels(here, replicas=2)
    whole = way_back(here, soft, legs=2)
    again = way_back(kept_few(here, monkeypatch), soft, legs=2)
    assert torch.equal(whole.objective, again.objective)
    assert torch.equal(worths(here, whole), worths(here, again))


def test_replicas_do_not_mix(multi):
    here = course(multi, "mlp:5")
    soft = random_labels(here, replicas=3)
    together = way_back(here, soft, legs=3)
    alone = way_back(here, soft[..., 1:2].contiguous(), legs=3)
    torch.testing.assert_close(together.objective[1:2], alone.objective)
    torch.testing.assert_close(worths(here, together)[..., 1:2], worths(here, alone))


def test_outcome_is_the_judged_objective(multi):
    here = course(multi)
    soft = random_labels(here, replicas=2)
    torch.testing.assert_close(outcome(here, soft), way_back(here, soft).judged)


@pytest.mark.parametrize("name", ["logistic", "mlp:5", "courses_nets:smooth"])
def test_hessian_product_against_autograd(multi, name):
    here = course(multi, name)
    params = {k: v.repeat_interleave(2, here.model.replica_axis[k]) for k, v in here.start.items()}
    params = {k: v + 0.1 * torch.rand_like(v) for k, v in params.items()}
    along = {k: torch.rand_like(v) for k, v in params.items()}
    soft = random_labels(here, 2)[0]

    def slope(values):
        def loss(one):
            return -(soft * here.model.logits(one, here.x).log_softmax(1)).sum() / len(here.x)

        return torch.func.grad(loss)(values)

    if name.startswith("courses"):  # its stacks run one after the other, which torch.func cannot follow
        step = 1e-6
        ahead = slope({k: v + step * along[k] for k, v in params.items()})
        behind = slope({k: v - step * along[k] for k, v in params.items()})
        wanted = {k: (ahead[k] - behind[k]) / (2 * step) for k in params}
    else:
        wanted = torch.func.jvp(slope, (params,), (along,))[1]
    got = mean_hessian_product(here.model, params, along, here.x, soft)
    for key, value in wanted.items():
        torch.testing.assert_close(got[key], value, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", ["logistic", "mlp:4"])
def test_both_goals_are_one_where_there_are_two_classes(binary, multi, name):
    def both(data):
        ways = [
            way_back(here := course(data, name, goal=g), random_labels(here))
            for g in ("untargeted", "targeted")
        ]
        return [float(way.objective[0]) for way in ways], [way.legs for way in ways]

    (untargeted, targeted), legs = both(binary)
    assert untargeted == pytest.approx(targeted + 1, abs=1e-9)
    for one, other in zip(*legs, strict=True):
        for key, value in one.direction.items():
            torch.testing.assert_close(value, other.direction[key], rtol=1e-6, atol=1e-12)
    (untargeted, targeted), _ = both(multi)
    assert untargeted != pytest.approx(targeted + 1, abs=1e-3)
