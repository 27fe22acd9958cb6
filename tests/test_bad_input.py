"""Whatever is given to a public name in place of what it takes: a TurncoatError, on one line, that says what came."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import turncoat
from turncoat import (
    Audit,
    Certificate,
    Dataset,
    Federation,
    FlippedLabels,
    Flips,
    Plan,
    Recipe,
    Results,
    Threat,
    TurncoatError,
)
from turncoat.analysis.results import Setting
from turncoat.attack.selection import Selection
from turncoat.report.report import Report

pytestmark = pytest.mark.usefixtures("as_users_run")

N, D, CLASSES = 40, 5, 3


class Unshowable:
    """Its repr fails, or fills several lines."""

    def __init__(self, text=None):
        self.text = text

    def __repr__(self):
        if self.text is None:
            raise RuntimeError("no repr")
        return self.text


class Unhashable:
    __hash__ = None

    def __eq__(self, other):
        return False

    def __call__(self, scores, labels, flips, generator):
        return labels


X = torch.randn(N, D, generator=torch.Generator().manual_seed(0))
Y = torch.arange(N) % CLASSES
DATA = turncoat.from_arrays(X, Y)
FLIPS = Flips(Y, Y[:0], X[:0, 0], 0.0, 0.0)
SETTING = Setting("d", "raw", "logistic", Recipe(), 0.5, 0.1)

GIVEN = {  # what each takes, of which one thing at a time is replaced
    Threat: {},
    Recipe: {},
    Federation: {"workers": 10, "hostile": 2},
    turncoat.train: {"dataset": DATA, "recipe": Recipe(epochs=1), "seeds": [0], "threats": [Threat(0.5)]},
    turncoat.worst_flips: {"module": nn.Linear(D, CLASSES), "x": X, "y": Y, "flips": 3},
    FlippedLabels: {"dataset": TensorDataset(X, Y), "flips": FLIPS},
    turncoat.from_arrays: {"x": X, "y": Y},
    turncoat.load: {"name": "digits"},
    Dataset: {
        "name": "d",
        "x": X,
        "y": Y,
        "x_test": X,
        "y_test": Y,
        "classes": 3,
        "shape": (D,),
        "scale": "raw",
    },
    Flips: {"labels": Y, "indices": Y[:0], "gain": X[:0, 0], "alignment_before": 0.0, "alignment_after": 0.0},
    Results: {"setting": SETTING, "runs": ()},
    turncoat.certify: {"dataset": DATA},
    turncoat.plan: {"dataset": DATA, "recipe": Recipe(epochs=1), "rounds": 1},
    Plan: {"made": None, "policy": None},
    turncoat.audit: {"data": DATA, "quick": True},
    Audit: {"report": Report("r", "", ()), "rows": None},
    Certificate: {
        "dataset": "d",
        "scale": "raw",
        "model": "logistic",
        "method": "partitions",
        "features": "given",
        "partitions": 3,
        "prediction": Y,
        "radius": Y,
        "labels": Y,
    },
}

NEITHER = {  # what nothing takes
    "none": None,
    "no repr": Unshowable(),
    "long repr": Unshowable("one\n" * 90),
    "dict": {"a": 1},
    "complex": 1j,
    "bytes": b"x",
    "word": "nonsense\nof two lines",
    "nan": float("nan"),
    "huge": -(10**400),
    "0-axis array": np.array("a"),
    "array": np.zeros((2, 3, 4)),
    "tensor": torch.full((2, 2), torch.nan),
    "list": [1, "a"],
    "type": object,
    "negative": -7,
}

TAKEN = (
    {  # but for these, which only fail later, or are meant
        (Threat, "selection"): {"word", "type"},
        (turncoat.train, "progress"): {"none"},
        (turncoat.worst_flips, "loss"): {"none"},
        (turncoat.worst_flips, "generator"): {"none"},
        (turncoat.worst_flips, "members"): {"none"},
        (turncoat.from_arrays, "name"): {"word"},
        (turncoat.from_arrays, "x_test"): {"none"},
        (turncoat.from_arrays, "y_test"): {"none"},
        (turncoat.from_arrays, "classes"): {"none"},
        (turncoat.load, "label"): {"none"},
        (turncoat.load, "workers_from"): {"none"},
        (Dataset, "name"): {"word"},
        (Dataset, "scale"): {"word"},
        (Flips, "alignment_before"): {"negative"},
        (Flips, "alignment_after"): {"negative"},
        (Certificate, "partitions"): {"none"},
        (turncoat.plan, "progress"): {"none"},
        (turncoat.audit, "learning_rate"): {"none"},
        (turncoat.audit, "scale"): {"none"},
        (Audit, "rows"): {"none"},
    }
    | {(turncoat.certify, name): {"none"} for name in ("partitions", "features", "recipe", "progress")}
    # whether data have such a column is found out when they are read
    | {(turncoat.audit, name): {"none", "word"} for name in ("label", "owner", "costs")}
    | {(Certificate, name): {"word"} for name in ("dataset", "scale", "model", "method", "features")}
)

FIELDS = {
    Threat: [
        "write_access",
        "local_budget",
        "goal",
        "selection",
        "schedule",
        "placement",
        "knowledge",
        "aware",
    ],
    Recipe: [
        "epochs",
        "batch_size",
        "learning_rate",
        "optimizer",
        "momentum",
        "weight_decay",
        "patience",
        "held_out",
        "precision",
        "clip_norm",
        "lr_schedule",
        "warmup",
    ],
    Federation: [
        "workers",
        "hostile",
        "partition",
        "local_steps",
        "aggregator",
        "tolerated",
        "worker_momentum",
        "participation",
        "weighting",
    ],
    turncoat.train: ["dataset", "model", "threats", "seeds", "recipe", "device", "federation", "progress"],
    turncoat.worst_flips: [
        "module",
        "x",
        "y",
        "flips",
        "direction",
        "loss",
        "selection",
        "generator",
        "members",
    ],
    FlippedLabels: ["dataset", "flips"],
    turncoat.from_arrays: ["x", "y", "name", "x_test", "y_test", "test_share", "seed", "scale", "classes"],
    turncoat.load: ["name", "scale", "label", "test_share", "seed", "fetch", "workers_from"],
    Dataset: ["name", "x", "y", "x_test", "y_test", "classes", "shape", "scale"],
    Flips: ["labels", "indices", "gain", "alignment_before", "alignment_after"],
    Results: ["setting", "runs"],
    # spread and noise are for other methods than the default: see the tests of certificates
    turncoat.certify: ["dataset", "model", "method", "partitions", "features", "recipe", "seed", "progress"],
    Certificate: list(GIVEN[Certificate]),
    turncoat.plan: ["dataset", "model", "threat", "recipe", "seed", "rounds", "progress"],
    Plan: ["made", "policy"],
    turncoat.audit: [
        "data",
        "label",
        "model",
        "owner",
        "costs",
        "scale",
        "learning_rate",
        "test_share",
        "quick",
    ],
    Audit: ["report", "rows", "complete"],
}

WRONG = [
    (call, field, kind)
    for call, fields in FIELDS.items()
    for field in fields
    for kind in NEITHER
    if kind not in TAKEN.get((call, field), set())
]


def told(call, *args, **kwargs):
    with pytest.raises(TurncoatError) as error:
        call(*args, **kwargs)
    message = str(error.value)
    assert message and len(message.splitlines()) == 1 and len(message) < 420, message
    return message


def test_every_public_name_is_tried():
    kinds = {"TurncoatError", "TurncoatWarning", "DEFENCES"}  # the last is a table
    assert {call.__name__ for call in FIELDS} == set(turncoat.__all__) - kinds


@pytest.mark.parametrize(
    ("call", "field", "kind"), WRONG, ids=[f"{c.__name__}-{field}-{kind}" for c, field, kind in WRONG]
)
def test_what_nothing_takes(call, field, kind):
    told(call, **(GIVEN[call] | {field: NEITHER[kind]}))


@pytest.mark.parametrize("call", list(FIELDS), ids=lambda call: call.__name__)
def test_arguments_that_are_not_there(call):
    field = max(FIELDS[call], key=len)
    typo = field[1] + field[0] + field[2:]
    said = told(call, **(GIVEN[call] | {typo: 1}))
    assert f"{call.__name__} has no argument {typo!r}" in said and f"did you mean {field!r}" in said
    assert "(allowed: " in told(call, **(GIVEN[call] | {"zzz": 1}))
    assert call.__name__ in told(call, *range(30))
    if call not in (Threat, Recipe, Federation):
        assert f"missing a required argument: {FIELDS[call][0]!r}" in told(call)


def test_a_type_error_within_is_not_taken_for_a_wrong_argument():
    def cancelled(done, total):
        raise TypeError("the user's own")

    with pytest.raises(TypeError, match="the user's own") as error:
        turncoat.train(DATA, threats=[], seeds=[0], recipe=Recipe(epochs=1), progress=cancelled)
    assert not isinstance(error.value, TurncoatError)


NETS = """
import torch
from torch import nn

notmodule = 3

def lazy(): return nn.Sequential(nn.LazyLinear(3))
def raises(): raise RuntimeError("no\\nway")
def nothing(): return None
def narrow(): return nn.Linear(4, 3)
def norm(): return nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3, track_running_stats=False))
def four(): return nn.Linear(5, 4)

def holed():
    net = nn.Linear(5, 3)
    net.weight.data[0, 0] = torch.nan
    return net

class Two(nn.Linear):
    def __init__(self): super().__init__(5, 3)
    def forward(self, a, b): return super().forward(a + b)

class Late(nn.Linear):
    def __init__(self): super().__init__(5, 3)
    def forward(self, a):
        if len(a) > 20: raise KeyError("too many\\nrows")
        return super().forward(a)

class Mixing(Late):
    def forward(self, a): return super().forward(a[:20]) - super().forward(a[:20]).mean(0)
"""

MODELS = {
    "lazy": "'0.weight' has no shape before its first call",
    "raises": "the factory failed: no",
    "nothing": "must return a torch.nn.Module",
    "narrow": "fails on examples of shape",
    "norm": "BatchNorm1d without running statistics",
    "four": "must give (3, 3)",
    "holed": "'weight' holds NaN or infinity from the start",
    "Two": "missing 1 required positional argument",
    "Late": "the model fails on",
    "Mixing": "alone and beside others",
    "notmodule": "must be a callable",
    "gone": "no attribute 'gone'",
    "": "MODULE:CALLABLE",
}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_models_that_do_not_fit(name, tmp_path, monkeypatch):
    Path(tmp_path, "wrong_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "wrong_nets", raising=False)
    said = told(turncoat.train, **(GIVEN[turncoat.train] | {"model": f"wrong_nets:{name}"}))
    assert MODELS[name] in said
    sys.modules.pop("wrong_nets", None)


def raising(scores, labels, flips, generator):
    raise KeyError("first line\nsecond")


def mutating(scores, labels, flips, generator):
    return labels.fill_(1)


RULES = {
    "raises": (raising, "selection raising failed"),
    "another arity": (lambda scores: scores, "it is called as rule(scores, labels, flips, generator)"),
    "a class": (dict, "selection dict failed"),
    "None": (lambda *_: None, "a selection returned NoneType"),
    "a list": (lambda s, labels, *_: labels.tolist(), "a selection returned list"),
    "floats": (lambda s, labels, *_: labels.float(), "must return integer labels"),
    "too short": (lambda s, labels, *_: labels[:1], "must return integer labels of shape"),
    "overspends": (lambda s, labels, *_: (labels + 1) % 3, "but the budget allows"),
    "overspends in place": (mutating, "but the budget allows"),
    "no class": (lambda s, labels, *_: labels * 0 + 9, "outside 0 … 2"),
    "proposes nothing": (Selection(lambda *_: None), "must give two tensors"),
    "proposes labels alone": (Selection(lambda s, labels, g: labels), "must give two tensors"),
    "proposal raises": (Selection(lambda s: s), "propose(scores, labels, generator)"),
}


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("schedule", ["epoch", "once", "flips"])
def test_rules_of_ones_own(rule, schedule):
    selection, words = RULES[rule]
    if schedule == "flips":
        said = told(turncoat.worst_flips, **GIVEN[turncoat.worst_flips], selection=selection)
    else:
        threat = Threat(0.5, 0.5, selection=selection, schedule=schedule)
        said = told(turncoat.train, **(GIVEN[turncoat.train] | {"threats": [threat]}))
    assert words in said


def test_a_rule_that_cannot_be_hashed():
    assert "cannot be hashed" in told(Threat, selection=Unhashable())


@pytest.mark.parametrize(
    "device", ["gpu", "cuda:99", "mps", "meta", "", "cpu:x", 0, torch.device("cuda", 99)]
)
def test_devices_that_are_not_here(device):
    assert "device" in told(turncoat.train, **(GIVEN[turncoat.train] | {"device": device}))


def test_a_device_of_pytorchs_own_kind():
    results = turncoat.train(**(GIVEN[turncoat.train] | {"device": torch.device("cpu")}))
    assert len(results.runs) == 2


@pytest.mark.parametrize("size", [1e16, 1e30, -1e30, 3e38])
def test_features_whose_squares_overflow(size):
    spoilt = X.clone()
    spoilt[7, 2] = size
    # in the training part or in the test part, as it is dealt
    assert "scale='standard'" in told(turncoat.from_arrays, spoilt, Y)
    data = turncoat.from_arrays(spoilt, Y, scale="standard")
    assert bool(data.x.isfinite().all())
    assert "are not finite" in told(turncoat.worst_flips, nn.Linear(D, CLASSES), X * size * 1e8, Y, 3)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_direction_that_is_no_direction(value):
    net = nn.Linear(D, CLASSES)
    aim = {name: torch.full_like(p, value) for name, p in net.named_parameters()}
    assert "'weight' holds NaN or infinity" in told(turncoat.worst_flips, net, X, Y, 3, aim)


def test_figures_asked_of_results():
    results = turncoat.train(**GIVEN[turncoat.train] | {"seeds": [0, 1]})
    assert "unknown goal" in told(results.breakdown_budget, goal="nonsense")
    assert "did you mean 'goal'" in told(results.breakdown_budget, gaol="untargeted")
    assert "no attacked run has write_access 0.7" in told(results.breakdown_budget, write_access=0.7)
    assert results.breakdown_budget(write_access=0.5) >= 0.5


def test_messages_stay_on_one_line():
    assert str(TurncoatError("first\n  second")) == "first second"
