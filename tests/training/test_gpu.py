"""What trains on a GPU, against the same on the CPU: every kind of model, threat, recipe and federation once."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from clouds import blobs
from images import images
from turncoat import Federation, Recipe, Threat, from_arrays, models, plan, train
from turncoat.attack.names import SELECTIONS
from turncoat.federation.names import AGGREGATORS, FORGED
from turncoat.training import planned
from turncoat.training.stack import material, stack_run

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings("ignore:idle-threat", "ignore:evaluation-mode"),
]

RECIPE = Recipe(epochs=3, batch_size=14, learning_rate=0.3)
SLOW = dataclasses.replace(RECIPE, learning_rate=0.05)  # networks, which rounding drives apart
CROWD = Federation(workers=5, hostile=2)
THROUGH = ("median", "centered_clipping", "geometric_median", "krum")
FORMS = ("class_by_class", "source_to_target:0:1", "all_to_one:1")


@pytest.fixture
def alike(multi):
    """Trains on the GPU and on the CPU, which have to agree but for a rounding, or a tie, here and there."""

    def compare(recipe=RECIPE, *threats, data=multi, apart=0.06, flips=1, **other):
        threats = threats or (Threat(0.8, 0.5), Threat(0.3, 0.9, goal="targeted"))
        found, wanted = (
            train(data, threats=threats, seeds=(0, 1), recipe=recipe, device=device, **other)
            for device in ("cuda", "cpu")
        )
        assert len(found.runs) == len(wanted.runs)
        for run, one in zip(found.runs, wanted.runs, strict=True):
            assert (run.threat, run.seed) == (one.threat, one.seed)
            shorter = min(len(run.curves), len(one.curves))
            assert shorter >= len(one.curves) - 1  # where a stop hangs on a rounding
            here, there = run.curves[:shorter], one.curves[:shorter]
            np.testing.assert_array_equal(np.isnan(here), np.isnan(there))
            assert np.nanmax(np.abs(here - there)[:, :2].mean(0)) <= apart  # accuracy and macro F1
            gone = np.abs(here[:, 3] - there[:, 3])  # flips: the first round's before roundings add up
            assert gone[0] <= 1 and gone.max() <= flips

    return compare


@pytest.mark.parametrize("selection", (*SELECTIONS, *FORMS))
@pytest.mark.parametrize("schedule", ["epoch", "epoch/2", "step", "once"])
def test_selections(alike, selection, schedule):
    threats = [
        Threat(k, b, selection=selection, schedule=schedule, placement=placement)
        for k, b, placement in ((0.8, 0.5, "resampled"), (0.5, 1.0, "fixed"))
    ]
    # highest losses change with every rounding
    alike(RECIPE, *threats, apart=0.2 if selection == "highest_loss" else 0.06)


@pytest.mark.parametrize("knowledge", ["local", "surrogate"])
@pytest.mark.parametrize("goal", ["untargeted", "targeted"])
def test_knowledge(alike, knowledge, goal):
    alike(RECIPE, Threat(local_budget=0.8, knowledge=knowledge, goal=goal), federation=CROWD)
    if knowledge == "surrogate":
        alike(RECIPE, Threat(0.5, 0.8, knowledge=knowledge, goal=goal))


RECIPES = {
    "momentum": {"momentum": 0.9, "weight_decay": 0.01, "learning_rate": 0.1},
    "adam": {"optimizer": "adam", "learning_rate": 0.02},
    "adamw": {"optimizer": "adamw", "learning_rate": 0.02, "weight_decay": 0.01},
    "cosine": {"lr_schedule": "cosine", "warmup": 1},
    "clipped": {"clip_norm": 0.5},
    "patience": {"patience": 1, "epochs": 6, "held_out": 0.2},
}
DEFENCES = (
    *("label_smoothing:0.1", "gce:0.7", "symmetric:0.1:1", "mae", "clip:1", "trimmed_loss:0.25", "gold:8"),
    *("gold_alone:8", "knn:5", "redundancy:3", "partitions:3", "gce:0.7+knn:5"),
)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("model", ["logistic", "mlp:8"])
def test_recipes(alike, name, model):
    alike(dataclasses.replace(RECIPE, **RECIPES[name]), model=model)


@pytest.mark.parametrize("defence", DEFENCES)
@pytest.mark.parametrize("aware", [False, True])
def test_defences(alike, defence, aware):
    threats = [Threat(0.8, 0.5, aware=aware), Threat(0.6, 0.5, aware=aware, goal="targeted")]
    alike(dataclasses.replace(RECIPE, defence=defence), *threats)


def test_confident_learning(alike):
    pytest.importorskip("cleanlab")
    alike(dataclasses.replace(RECIPE, defence="confident"))


@pytest.mark.parametrize("name", ["normed", "batch_norm", "dropout", "convolutions"])
def test_modules(name, alike, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "models"))
    # dropout draws from the generator of the device; a batch norm of 14 rows drives roundings apart
    far = {"apart": 0.3 if name == "dropout" else 0.1, "flips": 12}
    alike(SLOW, data=images(60), model=f"networks:{name}", **far)
    if name != "dropout":
        alike(SLOW, Threat(), data=images(60), model=f"networks:{name}", federation=CROWD, **far)


@pytest.mark.parametrize("model", ["cnn", "vit", "mlp"])
@pytest.mark.parametrize("schedule", ["epoch", "step"])
def test_networks(model, schedule, alike):
    data = images(60)
    if model == "cnn":
        rng = np.random.default_rng(1)
        x = rng.normal(size=(60, 1, 28, 28)).astype(np.float32)
        data = from_arrays(x[:40], np.arange(40) % 4, x_test=x[40:], y_test=np.arange(20) % 4, name="large")
    threats = [Threat(0.8, 0.5, schedule=schedule), Threat(0.5, 0.5, goal="targeted", schedule=schedule)]
    alike(SLOW, *threats, data=data, model=model, apart=0.12)


@pytest.mark.parametrize("model", ["logistic", "mlp:8", "vit"])
def test_bfloat16(model, alike):
    data = images(60)
    found = train(
        data, model, [Threat(0.8, 0.5)], range(2), dataclasses.replace(SLOW, precision="bfloat16"), "cuda"
    )
    wanted = train(data, model, [Threat(0.8, 0.5)], range(2), SLOW, "cuda")
    for run, one in zip(found.runs, wanted.runs, strict=True):
        assert np.abs(run.curves[:, 0] - one.curves[:, 0]).mean() <= 0.1


@pytest.mark.parametrize("rule", [*AGGREGATORS, "nnm+trimmed_mean", "bucketing+median", "arc+median"])
@pytest.mark.parametrize("partition", ["iid", "dirichlet:0.5"])
def test_rules(alike, rule, partition):
    setting = Federation(workers=11, hostile=2, partition=partition, aggregator=rule)
    data = blobs(4, n=220, seed=1)
    threats = [Threat(selection=name) for name in ("optimal", "cyclic", "imitate:min_max", *FORGED)]
    alike(RECIPE, *threats, Threat(aware=True), data=data, federation=setting, apart=0.1, flips=6)


@pytest.mark.parametrize(
    "fields", [{"local_steps": 2}, {"participation": 0.6}, {"worker_momentum": 0.9}, {"weighting": "size"}]
)
def test_ways_of_a_federation(alike, fields):
    alike(RECIPE, Threat(), Threat(selection="sign_flip"), federation=dataclasses.replace(CROWD, **fields))


@pytest.mark.parametrize("model", ["logistic", "mlp:6"])
@pytest.mark.parametrize("goal", ["untargeted", "targeted"])
@pytest.mark.parametrize("schedule", ["epoch", "once"])
def test_plans(model, goal, schedule, alike):
    threats = [
        Threat(k, b, selection="planned", goal=goal, schedule=schedule) for k, b in ((1.0, 0.3), (0.3, 1.0))
    ]
    alike(RECIPE, *threats, model=model, apart=0.15)


@pytest.mark.parametrize(
    ("rule", "aware"),
    [("mean", False), *((rule, aware) for rule in THROUGH for aware in (False, True))],
)
def test_plans_through_rules(rule, aware, multi):
    """Round by round of the search: which labels it ends with hangs on roundings."""
    setting = dataclasses.replace(CROWD, aggregator=rule, workers=7)

    def objectives(device):
        data = material(models.build("logistic", multi), multi, device)
        threat = Threat(2 / 7, selection="planned", aware=aware)
        (one,) = planned.planners(stack_run(data, RECIPE, 0, (threat,), setting).task, 3)
        list(one.planner.advance())
        return one.planner.course_of(0)

    np.testing.assert_allclose(objectives("cuda"), objectives("cpu"), rtol=1e-3)


def test_features_that_are_never_used(alike):
    data = blobs(4, d=12, seed=2)
    data.x[:, 3:9], data.x_test[:, 3:9] = 0, 0
    alike(RECIPE, data=data)
    alike(RECIPE, data=data, model="mlp:8")


def test_a_plan_from_data_on_a_gpu(multi, tmp_path):
    made = plan(multi.to("cuda"), threat=Threat(0.5, 0.5, selection="planned"), recipe=RECIPE, rounds=6)
    made.save(tmp_path / "plan.npz")
    again = type(made).load(tmp_path / "plan.npz")
    assert torch.allclose(
        again.average(multi.x, multi.y).cpu(), made.average(multi.x, multi.y).cpu(), atol=1e-5
    )
