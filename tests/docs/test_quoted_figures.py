"""The figures on the pages are those of the committed results."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from sparing_checks import unchecked
from turncoat.reproduce import extracts

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gen_results", ROOT / "docs" / "gen_results.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def points() -> pd.DataFrame:
    with unchecked():  # of 36,000 rows
        return extracts.read(ROOT / "results").points


@pytest.mark.parametrize("page", ["docs/results.md", "README.md"])
def test_every_figure_is_as_measured(page: str, pages: ModuleType, points: pd.DataFrame) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert len(pages.NUMBER.findall(text)) >= 4
    with unchecked():
        assert pages.filled(text, points) == text


def test_a_wrong_figure_is_put_right(pages: ModuleType, points: pd.DataFrame) -> None:
    runs = points[(points["dataset"] == "mnist") & (points["scale"] == "unit") & (points["patience"] == 0)]
    clean = runs[(runs["write_access"] == 0) & (runs["model"] == "logistic") & (runs["workers"] == 0)]
    clean = clean[clean["epochs"] == clean["epochs"].max()]
    figure = f"{100 * clean['accuracy.tail'].mean():.2f}"
    assert pages.filled("1.00<!-- clean mnist unit -->", points) == f"{figure}<!-- clean mnist unit -->"


@pytest.mark.parametrize("asked", ["acc nowhere k=1 b=1", "acc unit k=0.123 b=1", "acc letters unit"])
def test_a_figure_that_is_not_there_is_an_error(asked: str, pages: ModuleType, points: pd.DataFrame) -> None:
    with pytest.raises(LookupError):
        pages.filled(f"1<!-- {asked} -->", points)
