"""What must hold whatever the numbers are."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from turncoat import Recipe, Threat, models, train
from turncoat.attack.choosing import Quota, chooser
from turncoat.attack.round import gradient_change, mean_gradient, report
from turncoat.attack.selection import SELECTIONS
from turncoat.direction import targeted, untargeted
from turncoat.models.logistic import WEIGHT, logistic
from turncoat.threat import CLEAN
from turncoat.training.stack import material, stack_run, tiles
from turncoat.training.task import CURVES

pytestmark = pytest.mark.filterwarnings("ignore:idle-threat")  # budgets of nothing are among those tried

SHORT = Recipe(epochs=2, batch_size=24, learning_rate=0.3)
quick = settings(max_examples=20, deadline=None)


@quick
@given(st.integers(2, 5), st.integers(1, 25), st.booleans(), st.integers(0, 999))
def test_more_budget_never_worsens_the_attackers_objective(classes, n, steer, seed):
    make = torch.Generator().manual_seed(seed)
    model = logistic(3, classes)
    replicas = n + 1  # one per budget, on the same parameters
    one = torch.randn(4, model.init(make, 1)[WEIGHT].shape[1], 1, generator=make)
    params = {WEIGHT: one.repeat(1, 1, replicas)}
    x = model.prepare(torch.randn(n, 3, generator=make))
    y = torch.randint(classes, (n,), generator=make)
    old = y.unsqueeze(1).repeat(1, replicas)
    honest = mean_gradient(model, params, x, old)
    toward = (
        targeted(params, {WEIGHT: torch.randn(one.shape, generator=make)}) if steer else untargeted(honest)
    )
    members, sizes = torch.arange(n), torch.full((replicas,), n)
    quotas = [Quota(j, 0, n, j) for j in range(replicas)]
    new = chooser(SELECTIONS["optimal"], model, params, toward, x, members, y, sizes, make)(quotas, None)
    change = gradient_change(model, params, x, members, old, new, sizes, n)
    seen = report(honest, change, toward, (new != old).sum(0), model.replica_axis)
    after = seen.objective_after.double().numpy()
    slack = 1e-5 * (1 + abs(after).max())
    assert (np.diff(after) <= slack).all() and after[0] == float(seen.objective_before[0])
    assert (np.diff(seen.flips.numpy()) >= 0).all() and seen.flips[0] == 0


@pytest.mark.parametrize("schedule", ["epoch", "step", "once"])
@pytest.mark.parametrize("name", SELECTIONS)
def test_no_budget_changes_nothing(schedule, name, multi):
    threats = [Threat(0.7, 0.0, selection=name, schedule=schedule)]
    results = train(multi, threats=threats, seeds=[0], recipe=SHORT)
    clean, idle = results.runs
    np.testing.assert_allclose(idle.curves[:, :3], clean.curves[:, :3], rtol=1e-6)
    assert (idle.curve("flips") == 0).all()
    np.testing.assert_array_equal(idle.curve("objective_after"), idle.curve("objective_before"))
    np.testing.assert_allclose(idle.curve("cosine"), 1, atol=1e-6)


@pytest.mark.parametrize("schedule", ["epoch", "step"])
@pytest.mark.parametrize("kind", ["binary", "multi"])
def test_budget_is_never_overspent_and_optimal_lowers_the_objective(schedule, kind, request):
    data = request.getfixturevalue(kind)
    threats = [Threat(k, b, schedule=schedule) for k in (0.1, 0.55, 1.0) for b in (0.15, 1.0)]
    results = train(data, threats=threats, seeds=[0, 1], recipe=SHORT)
    for run in results.runs:
        assert (run.curve("flips") <= run.threat.flips(data.n)).all()
        if not run.threat.is_clean:
            before, after = run.curve("objective_before"), run.curve("objective_after")
            assert (after <= before).all() and (after < before).any() == (run.curve("flips") > 0).any()


def test_the_tile_size_does_not_matter(multi):
    """Stacks of 1, of 3, or of all at once give the same curves up to rounding."""
    threats = [Threat(k, b) for k in (0.2, 0.9) for b in (0.4, 1.0)]
    threats += [Threat(0.6, 0.5, selection="random"), Threat(0.6, 0.5, goal="targeted")]
    threats += [Threat(0.6, 0.5, knowledge="surrogate"), Threat(0.6, 0.5, schedule="step")]
    wanted = (CLEAN, *threats)
    data = material(models.build("logistic", multi), multi, "cpu")
    found = {}
    for size in (1, 3, 50):
        parts = tiles(wanted, size)
        assert max(map(len, parts)) <= size and sorted(map(str, wanted)) == sorted(
            str(threat) for part in parts for threat in part
        )
        for part in parts:
            run = stack_run(data, SHORT, 7, part)
            list(run.advance())
            for threat, curve in zip(part, run.curves().swapaxes(0, 1), strict=True):
                found.setdefault(threat, []).append(curve)
    for threat in threats:
        for curve in found[threat][1:]:
            np.testing.assert_allclose(curve, found[threat][0], rtol=1e-4, atol=1e-5, err_msg=str(threat))


def test_the_chunk_size_does_not_matter(multi):
    build = models.build("logistic", multi)
    whole, cut = (material(dataclasses.replace(build, chunk=chunk), multi, "cpu") for chunk in (4096, 11))
    threats = tuple(
        Threat(k, 0.5, selection=name, schedule=schedule)
        for name in ("optimal", "as_printed", "random", "least_likely")
        for k in (0.9, 0.3)
        for schedule in ("epoch",)
    )
    curves = []
    for data in (whole, cut):
        run = stack_run(data, SHORT, 7, threats)
        list(run.advance())
        curves.append(run.curves())
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-4, atol=1e-5)


def test_columns_of_curves_are_those_of_the_table(binary):
    table = train(binary, threats=[Threat(0.5)], seeds=[0], recipe=SHORT).to_pandas()
    assert list(table.columns[-len(CURVES) :]) == list(CURVES)
