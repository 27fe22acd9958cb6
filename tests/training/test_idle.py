"""Threats that can do nothing: from Python a warning with the arithmetic that the command line refuses them by."""

import warnings

import pytest
import torch

from turncoat import Federation, Recipe, Threat, train
from turncoat.errors import IdleThreatWarning, TurncoatWarning
from turncoat.federation.federation import POOLED
from turncoat.fields import written
from turncoat.training.idle import idle_fields
from turncoat.training.reach import reach

SHORT = Recipe(epochs=1)


def warned(*args, **kwargs):
    """The results, and the warnings' texts."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = train(*args, **kwargs)
    ours = [one for one in caught if issubclass(one.category, TurncoatWarning)]
    assert all(one.category is IdleThreatWarning and one.filename == __file__ for one in ours)
    texts = [str(one.message) for one in ours]
    assert all(text.startswith("idle-threat: Threat(") and "\n" not in text for text in texts)
    return results, texts


@pytest.mark.parametrize(
    ("threat", "recipe", "words"),
    [
        (Threat(0.0001), SHORT, "of 70 examples it may write to |K| = 0 and flip p = 0; raise write_access"),
        (Threat(0.5, 0.01), SHORT, "|K| = 35 and flip p = 0; raise local_budget to at least 0.0286"),
        (Threat(0.5, 0.0), SHORT, "set local_budget above 0"),
        (Threat(0.01, schedule="step"), SHORT, "of 64 examples of a batch"),
        (Threat(0.01, 0.01), SHORT, "raise write_access and local_budget until they make 0.0143 together"),
        (Threat(0.5, aware=True), SHORT, "aware = True does nothing: optimizer 'sgd' steps along"),
        (Threat(0.5, selection="random", goal="targeted"), SHORT, "goal = 'targeted' does nothing"),
        (Threat(0.5, schedule="once", placement="fixed"), SHORT, "placement = 'fixed' does nothing"),
        (Threat(goal="targeted"), SHORT, "goal = 'targeted' does nothing: write_access is 0"),
    ],
)
def test_an_idle_threat_is_told(binary, threat, recipe, words):
    results, texts = warned(binary, threats=[threat], seeds=[0], recipe=recipe)
    assert len(texts) == 1 and words in texts[0]
    flips = [run.curve("flips").sum() for run in results.runs if not run.threat.is_clean]
    assert texts[0].startswith(f"idle-threat: {written(threat)}: ")
    assert ("never flip" in texts[0]) == (flips == [0.0])


@pytest.mark.parametrize(
    "threats",
    [
        [Threat(0.5)],
        [Threat(0.5, selection="random", placement="fixed")],
        [Threat(0.0, 0.5), Threat(0.5, 0.5)],  # a grid with its clean corner
        [Threat()],
        [],
    ],
)
def test_a_threat_that_acts_is_not(binary, threats):
    assert warned(binary, threats=threats, seeds=[0], recipe=SHORT)[1] == []


def test_adam_makes_awareness_count(binary):
    recipe = Recipe(epochs=1, optimizer="adam")
    assert warned(binary, threats=[Threat(0.5, aware=True)], seeds=[0], recipe=recipe)[1] == []


def test_in_a_federation(binary):
    crowd = Federation(workers=5, hostile=1)
    _, texts = warned(binary, threats=[Threat(local_budget=0.01)], seeds=[0], recipe=SHORT, federation=crowd)
    assert len(texts) == 1
    assert "of 14 examples of a hostile worker" in texts[0]
    assert texts[0].endswith("raise local_budget to at least 0.0715")
    assert (
        warned(binary, threats=[Threat(local_budget=0.0715)], seeds=[0], recipe=SHORT, federation=crowd)[1]
        == []
    )
    forged = [Threat(selection="sign_flip")]
    assert warned(binary, threats=forged, seeds=[0], recipe=SHORT, federation=crowd)[1] == []
    in_steps = [Threat(local_budget=0.01, schedule="step")]
    _, texts = warned(binary, threats=in_steps, seeds=[0], recipe=SHORT, federation=crowd)
    assert "of 64 examples of a hostile worker's batch" in texts[0]


@pytest.mark.parametrize("schedule", ["epoch", "step", "once"])
@pytest.mark.parametrize("placement", ["resampled", "fixed"])
@pytest.mark.parametrize("patience", [0, 3])
def test_the_reach_is_what_a_run_spends(binary, schedule, placement, patience):
    recipe = Recipe(epochs=1, batch_size=16, patience=patience, held_out=0.3)
    for share, budget in ((0.02, 1.0), (0.5, 0.25), (1.0, 0.06), (0.5, 0.1)):
        threat = Threat(share, budget, schedule=schedule, placement=placement, selection="random")
        here = reach(threat, recipe, POOLED, binary.y)
        results, texts = warned(binary, threats=[threat], seeds=[0], recipe=recipe)
        spent = results.runs[-1].curve("flips").sum()
        if here.flips == 0:
            assert spent == 0 and "never flip" in texts[-1]
        elif schedule != "step":
            assert spent == here.flips
        assert bool(here.shortage) == (here.flips == 0)


@pytest.mark.parametrize("share", [0.3, 0.013, 0.0001])
@pytest.mark.parametrize("budget", [0.7, 0.02, 0.0001])
@pytest.mark.parametrize("n", [50, 1437])
def test_following_the_advice_gives_one_flip(share, budget, n):
    threat = Threat(share, budget)
    y = torch.zeros(n, dtype=torch.int64)
    told = reach(threat, SHORT, POOLED, y).shortage
    if threat.flips(n):
        assert told == ""
        return
    for way in told.split("; ")[1].split(", or "):
        name, number = (
            way.removeprefix("raise ").split(" to at least ") if "until" not in way else ("both", "")
        )
        if name == "write_access":
            assert Threat(float(number), budget).flips(n) == 1
        elif name == "local_budget":
            assert Threat(share, float(number)).flips(n) == 1
        else:
            together = float(way.split("make ")[1].removesuffix(" together"))
            assert Threat(together, 1.0).flips(n) == 1


def test_a_threat_is_written_as_typed():
    assert written(Threat(0.5, aware=True)) == "Threat(write_access=0.5, aware=True)"
    assert written(Recipe()) == "Recipe()"


def test_why_is_said_of_each_field():
    idle = idle_fields(Threat(0.5, selection="random"), SHORT, POOLED)
    assert {"goal", "knowledge", "aware", "held_out"} == set(idle)
    assert "'random' looks at nothing" in idle["aware"]
