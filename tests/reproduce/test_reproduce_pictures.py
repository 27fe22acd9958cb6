"""From a store of real runs on digits to evidence, extracts, pictures, numbers and captions."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from turncoat import TurncoatError
from turncoat.analysis.estimate import estimate
from turncoat.reproduce import extracts, pictures
from turncoat.reproduce.artefacts import Artefact
from turncoat.reproduce.evidence import Evidence, from_store
from turncoat.sweep import experiment
from turncoat.sweep.cells import clean_twin, key
from turncoat.sweep.experiment import Experiment
from turncoat.sweep.store import open_store

SVG = (".svg",)  # drawn soonest
FILE = 'dataset = "digits"\nscale = "unit"\nepochs = 200\nwrite_access = [0.1, 0.2, 0.5, 1.0]\nseeds = 30\n'


class Tiny(Artefact):
    def text(self) -> str:
        return FILE


def tiny(figure: str, **choices: object) -> Artefact:
    return Tiny("B:fig0", "A tiny figure", figure, "It harms.", "The grid is ours.", choices)


def test_points_are_the_stores_own_statistics(store: Path, evidence: Evidence, asked: Experiment) -> None:
    with open_store(store) as opened:
        summary = opened.summary()
    pooled = evidence.points[evidence.points["workers"] == 0]
    for row in summary[(summary["workers"] == 0) & (summary["write_access"] > 0)].to_dict("records"):
        same = pooled
        for name in ("write_access", "local_budget", "goal", "selection"):
            same = same[same[name] == row[name]]
        assert len(same) == row["seeds"] == 3
        assert same["accuracy.tail"].mean() == pytest.approx(row["accuracy.mean"])
        assert same["accuracy.last"].mean() == pytest.approx(row["accuracy_last.mean"])
        assert (same["clean.tail"] - same["accuracy.tail"]).mean() == pytest.approx(
            row["harm.mean"], abs=1e-6
        )
    assert set(evidence.points["key"]) >= {key(cell) for cell in experiment.cells(asked)}


def test_clean_runs_are_paired_by_seed(evidence: Evidence, asked: Experiment) -> None:
    points = evidence.points.set_index("key")
    for cell in experiment.cells(asked):
        assert points.loc[key(cell), "clean.last"] == points.loc[key(clean_twin(cell)), "accuracy.last"]


def test_averaged_curves_are_the_means_of_the_stores_curves(store: Path, evidence: Evidence) -> None:
    with open_store(store) as opened:
        curves = opened.curves()
    curves = curves[curves["workers"] == 0]
    cell = ["write_access", "local_budget", "goal", "selection", "epoch"]
    wanted = curves.groupby(cell)["accuracy"].agg(["mean", "std"])
    found = evidence.curves.set_index(cell)
    assert (found["seeds"] == 3).all()
    for name in ("mean", "std"):
        np.testing.assert_allclose(found[name].sort_index(), wanted[name].sort_index(), atol=1e-6)
    for index, group in curves.groupby(cell)["accuracy"]:
        wanted = estimate(group)
        row = found.loc[index]
        assert (row["low"], row["high"]) == pytest.approx((wanted.low, wanted.high), abs=1e-5)


def test_extracts_hold_the_same_evidence(evidence: Evidence, tmp_path: Path) -> None:
    extracts.write(evidence, tmp_path)
    back = extracts.read(tmp_path)
    assert back.origins == evidence.origins
    for ours, theirs, by in (
        (evidence.points, back.points, ["key"]),
        (evidence.curves, back.curves, ["key", "epoch"]),
    ):
        first, second = (frame.sort_values(by).reset_index(drop=True) for frame in (ours, theirs))
        assert first["key"].equals(second["key"])
        pd.testing.assert_frame_equal(
            first.drop(columns="label"),
            second[first.columns].drop(columns="label"),
            check_dtype=False,
            rtol=1e-6,
        )


def test_extracts_of_an_older_version_lose_their_bootstrap_intervals(
    evidence: Evidence, tmp_path: Path
) -> None:
    extracts.write(evidence, tmp_path)
    curves = pd.read_parquet(tmp_path / extracts.CURVES)
    assert not {"low", "high"} & set(curves)
    curves.assign(low=0.0, high=1.0).to_parquet(tmp_path / extracts.CURVES, index=False)
    back = extracts.read(tmp_path).curves.sort_values(["key", "epoch"])
    for name in ("low", "high"):
        wanted = evidence.curves.sort_values(["key", "epoch"])[name]
        np.testing.assert_allclose(back[name], wanted, rtol=1e-6)


def test_extracts_without_a_column_that_was_added_since(evidence: Evidence, tmp_path: Path) -> None:
    """What a version wrote that had no choice of placement yet: all of it was resampled."""
    extracts.write(evidence, tmp_path)
    for name in (extracts.POINTS, extracts.CURVES):
        pd.read_parquet(tmp_path / name).drop(columns="placement").to_parquet(tmp_path / name, index=False)
    back = extracts.read(tmp_path)
    pooled = evidence.points[evidence.points["workers"] == 0]
    keys = set(back.points["key"])
    assert len(back.points) == len(evidence.points) and set(pooled["key"]) <= keys
    assert set(back.curves["key"]) == set(evidence.curves["key"])


def test_extracts_of_a_newer_version(evidence: Evidence, tmp_path: Path) -> None:
    extracts.write(evidence, tmp_path)
    points = pd.read_parquet(tmp_path / extracts.POINTS)
    points.assign(foresight=32).to_parquet(tmp_path / extracts.POINTS, index=False)
    with pytest.raises(TurncoatError, match="unknown field 'foresight': a turncoat newer than"):
        extracts.read(tmp_path)
    points.attrs[extracts.VERSIONED] += 1
    points.to_parquet(tmp_path / extracts.POINTS, index=False)
    with pytest.raises(TurncoatError, match="unknown version: a turncoat newer than"):
        extracts.read(tmp_path)


@pytest.mark.parametrize("lost", ["points.parquet", "origins.json"])
def test_incomplete_extracts_are_refused(evidence: Evidence, tmp_path: Path, lost: str) -> None:
    extracts.write(evidence, tmp_path)
    (tmp_path / lost).unlink()
    with pytest.raises(TurncoatError, match="turncoat reproduce extract"):
        extracts.read(tmp_path)
    (tmp_path / lost).write_text("no such thing")
    with pytest.raises(TurncoatError, match="no extracts"):
        extracts.read(tmp_path)


@pytest.mark.parametrize(
    ("figure", "endings"),
    [("heatmap", pictures.ENDINGS), ("difference", SVG), ("spread", SVG), ("budget", SVG)],
)
def test_an_artefact_is_pictures_numbers_and_captions(
    figure: str, endings: tuple[str, ...], asked: Experiment, evidence: Evidence, tmp_path: Path
) -> None:
    written = pictures.make(tiny(figure), asked, evidence, tmp_path, True, endings)
    assert {path.name for path in written} == {
        "B-fig0-unit.csv",
        "B-fig0-unit.txt",
        *(f"B-fig0-unit{e}{f}" for e in ("", "-last", "-optimal") for f in endings),
    }
    assert all(path.stat().st_size for path in written)
    text = (tmp_path / "B-fig0-unit.txt").read_text()
    for said in ("(quick)", "3 of 200 epochs", "3 of 30 seeds", "last epoch", "The grid is ours", "It harms"):
        assert said in text
    numbers = pd.read_csv(tmp_path / "B-fig0-unit.csv")
    assert set(numbers["selection"]) == {"as_printed", "optimal", "random"}
    assert (numbers["seeds"] == 3).all()


def test_epochs_are_drawn_from_averaged_curves(asked: Experiment, evidence: Evidence, tmp_path: Path) -> None:
    pictures.make(tiny("epochs", budgets=[0.5]), asked, evidence, tmp_path, endings=SVG)
    assert "3 seeds" in (tmp_path / "B-fig0-unit.txt").read_text()
    assert set(pd.read_csv(tmp_path / "B-fig0-unit.csv")["epoch"]) == {1, 2, 3}


def test_ratios_of_norms_are_drawn(crowd: Experiment, evidence: Evidence, tmp_path: Path) -> None:
    pictures.make(tiny("ratios"), crowd, evidence, tmp_path, endings=SVG)
    numbers = pd.read_csv(tmp_path / "B-fig0-unit.csv")
    assert set(numbers["reading"]) == {"norm_ratio", "example_norm_ratio"}
    points = evidence.points[(evidence.points["selection"] == "random") & (evidence.points["workers"] == 5)]
    random = numbers[(numbers["selection"] == "random") & (numbers["reading"] == "norm_ratio")]
    assert random["mean"].iloc[0] == pytest.approx(points[points["write_access"] > 0]["norm_ratio"].mean())


def test_pictures_from_extracts_are_those_from_the_store(
    asked: Experiment, evidence: Evidence, tmp_path: Path
) -> None:
    extracts.write(evidence, tmp_path)
    parts = []
    for name, known in (("store", evidence), ("extract", extracts.read(tmp_path))):
        (tmp_path / name).mkdir()
        pictures.make(tiny("heatmap"), asked, known, tmp_path / name, endings=SVG)
        parts.append((tmp_path / name / "B-fig0-unit.svg").read_bytes())
    assert parts[0] == parts[1]


def test_other_settings_are_refused_with_the_command_that_trains(
    store: Path, evidence: Evidence, tmp_path: Path
) -> None:
    longer = experiment.experiment(
        {"scale": "unit", "epochs": 9, "write_access": 0.5, "seeds": 1}, "tiny.toml"
    )
    none = from_store(store, experiment.cells(longer))
    for known in (none, evidence):
        with pytest.raises(
            TurncoatError, match="no attacked run of 9 epochs; train them with: turncoat reproduce"
        ):
            pictures.make(tiny("heatmap"), longer, known, tmp_path)


def test_missing_runs_are_counted(store: Path, asked: Experiment, tmp_path: Path) -> None:
    part = from_store(store, experiment.cells(asked)[:40])
    pictures.make(tiny("heatmap"), asked, part, tmp_path, endings=SVG)
    wanted = len(experiment.cells(asked))
    text = (tmp_path / "B-fig0-unit.txt").read_text()
    assert (
        f"{1 - 40 / wanted:.0%} of the runs are missing: What was run, with the verdicts on the claims"
        in text
    )


def test_a_caption_stands_in_the_picture_or_below_it(asked: Experiment, evidence: Evidence) -> None:
    own = evidence.of(experiment.cells(asked))
    for figure in ("heatmap", "epochs"):
        both = [
            pictures.picture(tiny(figure), asked, own, pictures.VARIANTS[0], 1, captioned=captioned)
            for captioned in (True, False)
        ]
        assert both[0].get_label() == both[1].get_label()
        assert both[0].get_size_inches()[1] > both[1].get_size_inches()[1]
