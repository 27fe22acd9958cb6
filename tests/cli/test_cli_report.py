"""``turncoat report``: the page of a store."""

import json
from pathlib import Path

import pytest
from cli_said import Turncoat

from turncoat.figures import FIGURES
from turncoat.report.of_store import of_store
from turncoat.report.report import Choice, Picture
from turncoat.sweep import experiment, runner
from turncoat.sweep.store import open_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "r.db"
    asked = {
        "epochs": 2, "learning_rate": 0.2, "seeds": 2, "write_access": [0.5, 1.0], "local_budget": [0.3, 1.0],
        "selection": ["optimal", "cyclic", "random"],
    }  # fmt: skip
    runner.sweep(experiment.experiment(asked), str(path))
    return path


@pytest.mark.usefixtures("as_users_run")
def test_a_store_as_a_page(turncoat: Turncoat) -> None:
    store = Path("r.db")
    asked = {
        "epochs": 2,
        "learning_rate": 0.2,
        "seeds": 2,
        "write_access": 1.0,
        "local_budget": [0.3, 1.0],
    }
    runner.sweep(experiment.experiment(asked), str(store))
    said = turncoat("report", "--store", store, "-o", "r.html")
    assert said.status == 0 and said.out == "r.html\nr.json\n", said.err
    page = Path("r.html").read_text()
    assert 10_000 < len(page) < 5_000_000 and page.count("<svg") > 8
    found = json.loads(Path("r.json").read_text())
    figures = next(section for section in found["sections"] if section["title"] == "Figures")
    with open_store(str(store)) as opened:
        summary = opened.summary()
    rows = figures["blocks"][0]["rows"]
    assert len(rows) == len(summary) == 5
    assert [row["accuracy [95 %]"]["value"] for row in rows] == summary["accuracy.mean"].tolist()
    assert rows[0]["selection"] == "clean" and rows[0]["harm [95 %]"] is None


def test_every_picture_that_a_store_can_give(store: Path) -> None:
    with open_store(str(store)) as opened:
        made = of_store(
            "r.db", opened.curves(), opened.summary(), opened.visibility(), lambda done, total: None
        )
    drawn = {
        s.title.removeprefix("Picture: "): s.blocks[0] for s in made.sections if s.title.startswith("Picture")
    }
    assert set(drawn) == {kind for kind, spec in FIGURES.items() if spec.make is None} - {"visibility"}
    heatmap = drawn["heatmap"]
    assert isinstance(heatmap, Choice)
    options = [option for option, _ in heatmap.views]  # a panel for each rule, so one picture a measure
    assert options == [("all cells", measure) for measure in ("test accuracy", "macro F1 on test data")]
    budget = drawn["budget"]
    assert isinstance(budget, Choice)
    assert {option[0] for option, _ in budget.views} == {"selection cyclic", "selection optimal"}
    assert all(isinstance(blocks[0], Picture) and blocks[0].alt for _, blocks in heatmap.views)
    for choice in drawn.values():
        shown = choice.views if isinstance(choice, Choice) else [((), [choice])]
        for picture in (blocks[0] for _, blocks in shown):
            assert isinstance(picture, Picture)
            assert "<text" in picture.svg  # words to search and copy
            assert "font-size: 6.5px" in picture.svg


def test_bad_paths_leave_nothing_behind(turncoat: Turncoat, store: Path) -> None:
    for words, told in (
        (("-o", "none/r.html"), "there is no folder none"),
        (("-o", "r.pdf"), "cannot end in '.pdf'"),
        (("--store", "none.db"), "none.db"),
    ):
        said = turncoat("report", *(() if "--store" in words else ("--store", store)), *words)
        assert said.status == 2 and told in said.err and said.err.count("\n") == 1, said.err
    assert list(Path().iterdir()) == []
    runner.sweep(experiment.experiment({"epochs": 1, "seeds": 1, "learning_rate": 0.2}), "clean.db")
    said = turncoat("report", "--store", "clean.db", "-o", "-", "-q")
    assert said.status == 0 and "No cell is attacked" in said.out
