"""The labels whose message is nearest to a gradient attack's: against all labelings, within budget, in real runs."""

import itertools

import pytest
import torch

from turncoat import Federation, Recipe, Threat, TurncoatError, train
from turncoat.attack.selection import find
from turncoat.federation.attacks import GRADIENT_ATTACKS
from turncoat.federation.imitation import nearest, wanted_message
from turncoat.federation.messages import gradients
from turncoat.federation.names import IMITATED, imitated
from turncoat.federation.selections import check_selection
from turncoat.models import build
from turncoat.training.stack import material, stack_run

CROWD = Federation(workers=5, hostile=2)
RECIPE = Recipe(epochs=1, learning_rate=0.3, batch_size=6)
ROWS = 4  # 4^4 labelings


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module", params=["logistic", "mlp:5"])
def worker(request, multi):
    """A model in the middle of nowhere, a worker's few rows, and three honest workers'."""
    model = build(request.param, multi)
    params = {
        name: value.double() + 0.3 * torch.randn(value.shape, generator=draw(1), dtype=torch.float64)
        for name, value in model.init(draw(), 1).items()
    }
    x = model.prepare(multi.x).double()[torch.randperm(len(multi.x), generator=draw(2))]
    y = multi.y[torch.randperm(len(multi.x), generator=draw(2))]
    honest = [(x[i : i + 20], y[i : i + 20]) for i in range(0, 60, 20)]
    return model, params, x[-ROWS:], y[-ROWS:], honest


def all_distances(worker, wanted, flips):
    """The distance of every labelling's message, from the messages themselves."""
    model, params, x, y, _ = worker
    labels = torch.tensor([*itertools.product(range(model.classes), repeat=ROWS)])
    labels = labels[(labels != y).sum(1) <= flips]
    copies = x.expand(len(labels), *x.shape)
    return (gradients(model, params, copies, labels.unsqueeze(2))[:, 0] - wanted).norm(dim=1)


@pytest.mark.parametrize("attack", IMITATED)
@pytest.mark.parametrize("flips", [0, 1, 2, 4])
def test_nearest_against_every_labelling(worker, attack, flips):
    model, params, x, y, honest = worker
    wanted = wanted_message(attack, model, params, honest, 2, draw())
    found = nearest(model, params, x, y, wanted, torch.tensor([flips]), draw())
    best = float(all_distances(worker, wanted, flips).min())
    assert int((found.labels[:, 0] != y).sum()) <= flips
    sent = gradients(model, params, x[None], found.labels[None])[0]
    torch.testing.assert_close(found.message, sent)
    torch.testing.assert_close(found.distance, (sent - wanted).norm(dim=1))
    bound, relaxed, distance = (float(v) for v in (found.bound, found.relaxed, found.distance))
    assert bound <= relaxed * (1 + 1e-9) and bound <= best * (1 + 1e-9)
    assert relaxed <= best * (1 + 1e-2) + 1e-9  # Frank and Wolfe's method ends near the least
    assert best <= distance * (1 + 1e-9) and distance <= 1.2 * best + 1e-9  # the gap of rounding four rows


def test_replicas_do_not_mix_and_more_budget_never_leads_away(worker):
    model, params, x, y, honest = worker
    wanted = wanted_message("sign_flip", model, params, honest, 2, draw())
    many = {name: value.repeat_interleave(4, model.replica_axis[name]) for name, value in params.items()}
    flips = torch.tensor([0, 1, 2, 4])
    together = nearest(model, many, x, y, wanted.expand(4, -1), flips, draw())
    for j, count in enumerate(flips.tolist()):
        alone = nearest(model, params, x, y, wanted, flips[j : j + 1], draw())
        torch.testing.assert_close(together.relaxed[j : j + 1], alone.relaxed, rtol=1e-2, atol=1e-9)
        assert int((together.labels[:, j] != y).sum()) <= count
    assert (together.relaxed.diff() <= 1e-3 * together.relaxed[:-1]).all()


@pytest.mark.parametrize("attack", IMITATED)
def test_wanted_is_what_the_attack_sends(worker, attack):
    model, params, _, _, honest = worker
    each = [gradients(model, params, x[None], y[None, :, None])[0] for x, y in honest]
    wanted = wanted_message(attack, model, params, honest, 2, draw())
    torch.testing.assert_close(wanted, GRADIENT_ATTACKS[attack](torch.stack(each, 1), 2, draw())[:, 0])


@pytest.mark.usefixtures("as_users_run")  # checked shapes would triple the time
@pytest.mark.parametrize("schedule", ["epoch", "step"])
@pytest.mark.parametrize("attack", IMITATED)
def test_every_hostile_worker_keeps_to_its_own_budget(attack, schedule, multi):
    threat = Threat(0.4, 0.3, selection=f"imitate:{attack}", schedule=schedule, placement="fixed")
    run = stack_run(material(build("logistic", multi), multi, "cpu"), RECIPE, 0, (threat,), CROWD)
    for _ in run.advance():
        if run.main is None or run.main.labels is None:
            continue
        changed = run.main.labels[:, 0] != multi.y
        sizes = [int(changed[shard].sum()) for shard in run.task.way.crowd.shards]
        assert all(size <= int(0.3 * 14) for size in sizes[:2]) and not any(sizes[2:])
    flips = run.curves()[:, 0, 3]
    most = 2 * 3 * int(0.3 * 6) if schedule == "step" else 2 * int(0.3 * 14)  # 3 rounds an epoch
    assert (flips <= most).all() and flips.max() > 0


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.parametrize("setting", [{}, {"knowledge": "local"}, {"knowledge": "surrogate"}, {"aware": True}])
def test_sign_flip_imitated_turns_the_hostile_message(setting, multi):
    """In the first round, where the models are the same, its cosine to the honest mean lies below the clean run's."""
    federation = Federation(workers=5, hostile=2, aggregator="trimmed_mean")
    threats = [Threat(schedule="step", selection="imitate:sign_flip", **setting)]
    runs = train(multi, threats=threats, seeds=[0], recipe=RECIPE, federation=federation).runs
    clean, turned = (run.samples[0, :, 1] for run in runs)  # (workers,) cosines
    assert (turned[:2] < clean[:2]).all() and turned[:2].mean() < 0


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (
            lambda d: train(d, threats=[Threat(0.3, selection="imitate:sign_flip")]),
            "give workers and hostile",
        ),
        (lambda d: check_selection(Threat(selection="imitate:sign_flp")), "did you mean 'sign_flip'?"),
        (lambda d: check_selection(Threat(selection="imitate:gaussian")), "imitate one of: inner_product"),
        (lambda d: check_selection(Threat(selection="imitate")), "did you mean 'imitate:ATTACK'?"),
        (lambda d: check_selection(Threat(selection="imitat:sign_flip")), "did you mean 'imitate'?"),
        (lambda d: find("imitate:min_max"), "Federation(workers=10, hostile=2)"),
        (
            lambda d: train(
                d, threats=[Threat(selection="imitate:min_max", schedule="once")], federation=CROWD
            ),
            "set schedule to 'epoch' or 'step'",
        ),
    ],
)
def test_what_cannot_be_imitated_is_told_in_one_line(call, told, multi):
    with pytest.raises(TurncoatError) as caught:
        call(multi)
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_other_selections_imitate_nothing():
    assert imitated("optimal") is None and imitated(len) is None and imitated("imitate:min_max") == "min_max"
