"""The audit of a table: its figures against plain computations, its page, and what it refuses."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import hypergeom

import turncoat
from turncoat import TurncoatError, load
from turncoat.auditing import attacks, audit, folds, guaranteed, owners, seen, stopping
from turncoat.auditing import setting as settings
from turncoat.auditing.setting import SHARES, choose_setting
from turncoat.auditing.the_labels import check_rows
from turncoat.metrics import tail_mean
from turncoat.report.report import Section
from turncoat.threat import CLEAN, Threat
from turncoat.training.stack import stack_run
from turncoat.training.task import CURVES

RNG = np.random.default_rng(5)
N = 260


def nothing(what, share):
    return None


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """Two clouds and a text column; the clinic "odd" has a third of its labels wrong."""
    clinic = np.array(["north", "south", "odd"])[np.minimum(RNG.integers(0, 5, N) // 2, 2)]
    y = RNG.integers(0, 2, N)
    x = RNG.normal(size=(N, 3)) + 1.3 * y[:, None]
    wrong = (clinic == "odd") & (RNG.random(N) < 0.35)
    frame = pd.DataFrame(x, columns=["a", "b", "<script>"]).assign(
        ward=np.array(["I", "II"])[np.where(RNG.random(N) < 0.2, 1 - y, y)], case=[f"c{i}" for i in range(N)],
        clinic=clinic, outcome=np.array(["ill", "well"])[np.where(wrong, 1 - y, y)],
    )  # fmt: skip
    path = tmp_path_factory.mktemp("audit") / "mixed.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def setting(table):
    data = load(table, "standard", label="outcome", drop="clinic")
    chosen = choose_setting([data], "logistic", 0.5, True, nothing)
    return dataclasses.replace(
        chosen, shares=(0.05, 0.2), recipe=dataclasses.replace(chosen.recipe, epochs=8)
    )


@pytest.fixture(scope="session")
def outcomes(setting):
    return attacks.run(setting, [threat for *_, threat in attacks.grid(setting)], nothing, "")


@pytest.fixture(scope="session")
def made(table):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "QUICK_ROWS", 6 * N)
        patch.setattr(settings, "QUICK_SHARES", (0.05, 0.2))
        return turncoat.audit(table, label="outcome", owner="clinic", quick=True)


def test_every_section_is_there(made, tmp_path):
    titles = [section.title for section in made.report.sections]
    assert titles == [
        "The data and the model", "How much harm", "Whom it hits", "Would you see it?", "What stops it",
        "What is guaranteed",
        "The labels you have",
    ]  # fmt: skip
    made.to_html(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert len(page) < 5_000_000 and page.count("<script>") == 1 and "&lt;script&gt;" in page
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads(made.to_json())
    assert made.complete and set(made.rows["list"]) == {"looks wrong", "would harm most if wrong"}
    assert made.rows["row"].between(1, N).all()


def test_the_clinic_with_wrong_labels_stands_out(made):
    blocks = json.loads(made.to_json())["sections"][-1]["blocks"]
    rows = next(block["rows"] for block in blocks if block.get("table", "").startswith("Owners"))
    doubted = {row["clinic"]: row["labels that models doubt"] for row in rows}
    assert doubted["odd"] > 2 * max(doubted["north"], doubted["south"])
    together = [row["harm with those above [95 %]"]["value"] for row in rows]
    assert rows[0]["harm alone [95 %]"]["value"] == pytest.approx(together[0])
    assert together[-1] > 0.3  # all of them flip what they can


def test_figures_are_those_of_train(setting, outcomes):
    threat = attacks.EACH_EPOCH.threat(1.0, 0.2)
    assert threat == Threat(1.0, 0.2)
    results = turncoat.train(setting.dataset, threats=[threat], seeds=setting.seeds, recipe=setting.recipe)
    for own in (CLEAN, threat):
        runs = [run for run in results.runs if run.threat == own]
        assert [one.accuracy for one in outcomes.of(own)] == [
            tail_mean(run.curve("accuracy")) for run in runs
        ]
        for one, run in zip(outcomes.of(own), runs, strict=True):
            last = run.curves[-1, CURVES.index("accuracy")]
            assert one.confusion.trace() / one.confusion.sum() == pytest.approx(last)
            assert one.confusion.sum(1).tolist() == torch.bincount(setting.dataset.y_test).tolist()
    harm = np.subtract(*([one.accuracy for one in outcomes.of(own)] for own in (CLEAN, threat)))
    assert outcomes.harm(threat) == harm.tolist()


def test_labels_that_stay_are_within_their_budget(setting, outcomes):
    for attack, _, _, threat in attacks.grid(setting):
        for one in outcomes.of(threat):
            if attack.schedule == "epoch":
                assert one.labels is None
            else:
                wrong = int((one.labels != setting.dataset.y).sum())
                assert 0 < wrong <= threat.flips(setting.dataset.n)
    chosen, random = (one.threat(1.0, 0.2) for one in (attacks.CHOSEN_ONCE, attacks.CARELESS))
    assert np.mean(outcomes.harm(chosen)) > np.mean(outcomes.harm(random))


def test_scale_and_rate_are_those_of_least_held_out_loss(table, monkeypatch):
    monkeypatch.setattr(settings, "QUICK_ROWS", 6 * N)
    both = [load(table, scale, label="outcome", drop="clinic") for scale in ("standard", "unit")]
    chosen = choose_setting(both, "logistic", None, True, nothing)
    best = min(chosen.tried, key=lambda one: one[3])
    assert len(chosen.tried) == 8 and (chosen.dataset.scale, chosen.recipe.learning_rate) == best[:2]
    assert all(stable <= 1.05 for _, _, stable, _ in chosen.tried) and chosen.stability == pytest.approx(
        best[2]
    )
    typed = choose_setting(both[:1], "logistic", 50.0, True, nothing)
    assert typed.recipe.learning_rate == 50 and typed.stability > 1
    assert max(SHARES) < 0.5


def test_no_row_is_judged_by_a_model_that_learned_from_it(setting):
    y = setting.dataset.y
    first = folds.by_stratified_folds(setting, torch.stack([y, y], 1))
    assert np.allclose(first[0], first[1]) and np.allclose(first.sum(2), 1)
    flipped = y.clone()
    flipped[7] = 1 - flipped[7]
    again = folds.by_stratified_folds(setting, flipped.unsqueeze(1))[0]
    assert np.allclose(again[7], first[0][7]) and not np.allclose(again, first[0])


def test_doubt():
    found = np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1]])
    assert folds.doubt(found, np.array([0, 1])) == pytest.approx([-0.5, 0.5])


@pytest.mark.parametrize(("rows", "wrong"), [(40, 3), (500, 25), (960, 48), (30, 30)])
def test_checks_by_hand_against_sums(rows, wrong):
    def none_found(checked):
        return float(np.prod([(rows - wrong - i) / (rows - i) for i in range(checked)]))

    least = seen.least_check(rows, wrong)
    assert none_found(least) <= 0.05 + 1e-9 and (least == 1 or none_found(least - 1) > 0.05)
    for checked in (1, rows // 3, rows):
        sure = seen.surely_found(rows, wrong, checked)
        chance = sum(hypergeom.pmf(k, rows, wrong, checked) for k in range(sure, wrong + 1))
        assert chance >= 0.95 - 1e-9
    assert seen.surely_found(rows, wrong, rows) == wrong


def test_rows_that_harm_most_are_those_of_the_chosen_flips(setting, outcomes):
    rows = check_rows(setting, outcomes)
    chosen = outcomes.of(attacks.CHOSEN_ONCE.threat(1.0, 0.05))[0]
    flipped = setting.rows[(chosen.labels != setting.dataset.y).numpy()]
    assert set(rows.harmful["row"][: len(flipped)]) == set(flipped.tolist())
    assert (rows.suspicious["value"].diff().dropna() > -0.5).all() and 0 < rows.harmful["value"].max() < 1


def test_what_an_owner_flips_is_its_own(setting, outcomes):
    mine = torch.arange(10, 40)
    labels = owners._flipped(outcomes, setting.dataset.y, mine)
    changed = (labels != setting.dataset.y).nonzero().flatten()
    assert len(changed) and set(changed.tolist()) <= set(mine.tolist())


def test_what_is_guaranteed_is_the_certificate(setting, outcomes):
    section = guaranteed.what_is_guaranteed(setting, outcomes, nothing)
    rows = json.loads(audit.finished(audit.Asked("t"), [section]).to_json())["sections"][0]["blocks"][1][
        "rows"
    ]
    found = turncoat.certify(setting.dataset, partitions=setting.dataset.n // 6)
    assert [row["votes: guaranteed accuracy"] for row in rows] == [
        found.accuracy_under(row["rows"]) for row in rows
    ]
    assert len(rows) == 2 and rows[0]["votes: guaranteed accuracy"] > rows[1]["votes: guaranteed accuracy"]


def test_an_audit_that_is_stopped_says_so():
    made = audit.finished(audit.Asked("t.csv"), [Section("First", "One.")], complete=False)
    assert [section.title for section in made.report.sections] == ["Not complete", "First"]
    assert not made.complete and made.rows is None


def test_cleanlab_where_it_is_installed(setting, outcomes, monkeypatch):
    pytest.importorskip("cleanlab", reason="needs the extra: labels")
    section = seen.would_you_see_it(setting, outcomes, nothing)
    tool = json.loads(audit.finished(audit.Asked("t"), [section]).to_json())["sections"][0]["blocks"][1]
    assert [row["attack"] for row in tool["rows"]] == ["random", "chosen once", "class by class", "planned"]
    assert tool["rows"][0]["of the wrong marked (recall)"]["value"] > 0.5
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'turncoat[labels]'" in str(seen.would_you_see_it(setting, outcomes, nothing).blocks)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ["needs the name of its label column", "outcome"]),
        ({"label": "outcome", "owner": "clinc"}, ["'clinc'", "did you mean 'clinic'"]),
        ({"label": "outcome", "learning_rate": -1.0}, ["learning_rate is -1.0"]),
        ({"label": "outcome", "scale": "big"}, ["unknown scale"]),
        ({"label": "outcome", "model": "logstic"}, ["unknown model"]),
        ({"lable": "outcome"}, ["did you mean 'label'"]),
    ],
)
def test_bad_input_is_one_line(table, options, words):
    with pytest.raises(TurncoatError) as caught:
        turncoat.audit(table, **options)
    assert "\n" not in str(caught.value) and all(word in str(caught.value) for word in words), str(
        caught.value
    )


def test_bad_columns_are_one_line(table, tmp_path):
    frame = pd.read_csv(table)
    for name, changed, words in (
        ("owner", frame.assign(clinic="north"), "names one owner alone, 'north'"),
        ("owner", frame.assign(clinic=frame["clinic"].where(frame["clinic"] != "odd")), "is empty in"),
        (
            "class",
            frame.assign(outcome=["rare" if i < 6 else w for i, w in enumerate(frame["outcome"])]),
            "'rare' has",
        ),
    ):
        changed.to_csv(tmp_path / "t.csv", index=False)
        with pytest.raises(TurncoatError, match=words):
            turncoat.audit(tmp_path / "t.csv", label="outcome", owner="clinic" if name == "owner" else None)
    with pytest.raises(TurncoatError, match="are for files"):
        turncoat.audit(load("digits"), label="outcome")
    for text, words in (
        (",ill\nill,1\n", "must name the classes"),
        (",ill,well\nill,0,x\nwell,1,0\n", "no number"),
    ):
        (tmp_path / "costs.csv").write_text(text)
        with pytest.raises(TurncoatError, match=words):
            audit._costs(tmp_path / "costs.csv", ("ill", "well"))
    (tmp_path / "costs.csv").write_text(",well,ill\nwell,0,5\nill,1,0\n")
    assert audit._costs(tmp_path / "costs.csv", ("ill", "well")).tolist() == [[0, 1], [5, 0]]


def test_planned_labels_are_made_once_and_followed_under_every_seed(setting, outcomes):
    threat = attacks.ATTACKS[4].threat(1.0, 0.2)
    first, second, _ = outcomes.of(threat)
    assert torch.equal(first.labels, second.labels)  # of all rows, so that both seeds hold the same
    random, once, planned = (np.mean(outcomes.harm(attacks.ATTACKS[i].threat(1.0, 0.2))) for i in (0, 1, 4))
    assert planned > random and planned > 0.8 * once
    least = attacks.strongest(outcomes, [own for *_, own in attacks.grid(setting)])
    learned = {own: np.mean([one.learned for one in outcomes.of(own)]) for *_, own in attacks.grid(setting)}
    assert learned[least] == min(learned.values())


def test_a_network_is_not_planned_against(table):
    data = load(table, "standard", label="outcome", drop="clinic")
    chosen = choose_setting([data], "mlp", 0.1, True, nothing)
    assert "planned" not in [attack.name for attack in attacks.tried(chosen)]


def test_what_stops_it_says_what_training_with_the_defence_reaches(setting, outcomes):
    section = stopping.what_stops_it(setting, outcomes, nothing)
    blocks = json.loads(audit.finished(audit.Asked("t"), [section]).to_json())["sections"][0]["blocks"]
    rows = blocks[0]["views"][0]["blocks"][1]["rows"]
    assert [row["defence"] for row in rows] == list(stopping.defences(setting.dataset.n))
    share = 0.05  # of those tried the nearest to a tenth
    recipe = dataclasses.replace(setting.recipe, defence="gce:0.3")
    careless = dataclasses.replace(attacks.CARELESS.threat(1.0, share), placement="resampled")
    results = turncoat.train(setting.dataset, threats=[careless], seeds=setting.seeds, recipe=recipe)
    for own, name in ((CLEAN, "clean labels [95 %]"), (careless, "careless labels [95 %]")):
        reached = [tail_mean(run.curve("accuracy")) for run in results.runs if run.threat == own]
        assert rows[1][name]["value"] == pytest.approx(np.mean(reached))
    plain = [one.accuracy for one in outcomes.of(CLEAN)]
    assert rows[0]["clean labels [95 %]"]["value"] == pytest.approx(np.mean(plain))
    assert rows[0]["strongest labels [95 %]"]["value"] < np.mean(plain)
    alone = rows[4]  # which never looks at any other label
    assert (
        alone["defence"].startswith("gold_alone")
        and alone["strongest labels [95 %]"] == alone["clean labels [95 %]"]
    )


def test_redundant_labels_keep_what_most_labellers_say(setting, outcomes):
    share, narrow = 0.05, 0.25
    threat = attacks.CHOSEN_ONCE.threat(narrow, share)
    recipe = dataclasses.replace(setting.recipe, defence="redundancy:3")
    stack = stack_run(setting.data, recipe, 0, (CLEAN, threat))
    kept = torch.stack(list(stopping._labels(setting, outcomes, stack, 0)), 1)
    wrong = (kept != setting.dataset.y.unsqueeze(1)).sum(0)
    all_of_them = int((outcomes.found[threat, 0].labels != setting.dataset.y).sum())
    assert wrong[0] == 0 and 0 < wrong[1] < all_of_them  # (3 - 2k)k² = .16 of the rows instead of .25
