"""The page of an audit in a real browser: switches, pictures, tables, and nothing in anybody's way."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer

import turncoat
from browsing import browser, needs_chromium, opened, serious_faults
from turncoat.auditing import setting

__all__ = ["browser", "opened"]  # fixtures
pytestmark = needs_chromium


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real biopsies, a quick audit."""
    folder = tmp_path_factory.mktemp("audit")
    cells = load_breast_cancer(as_frame=True)
    named = cells.target.map({0: "malignant", 1: "benign"})
    ward = pd.Series(["north", "south", "east"]).sample(len(named), replace=True, random_state=0)
    table = cells.data.iloc[:, :6].assign(ward=ward.to_numpy(), diagnosis=named)
    table.to_csv(folder / "biopsies.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setting, "QUICK_ROWS", 4000)
        patch.setattr(setting, "QUICK_SHARES", (0.05, 0.1))
        made = turncoat.audit(folder / "biopsies.csv", label="diagnosis", owner="ward", quick=True)
    made.to_html(folder / "audit.html")
    return folder / "audit.html"


def test_switches_change_the_attack_and_the_measure(opened: Any) -> None:
    page = opened()
    harm = page.locator("section", has=page.get_by_role("heading", name="How much harm"))
    shown = harm.locator(".view:not([hidden])")
    assert shown.count() == 1 and "write access to all rows" in shown.inner_text()
    harm.get_by_role("combobox", name="measure").select_option("macro F1")
    assert "Macro F1 over the share" in shown.inner_text()
    harm.get_by_role("combobox", name="write access").select_option(index=1)
    assert "25% of the rows" in shown.inner_text()
    box = shown.locator("svg").bounding_box()
    assert box["width"] > 200 and box["height"] > 100
    tips = shown.locator("svg [data-tip]")
    tips.nth(1).hover(force=True)
    assert "wrong: " in page.locator("#tip").inner_text()


def test_every_section_says_its_sentence_first(opened: Any) -> None:
    page = opened()
    heads = page.locator("section > h2").all_inner_texts()
    assert heads[0].endswith("The data and the model") and len(heads) == 7
    for section in page.locator("section:has(> h2)").all():
        assert section.locator("h2 + p").inner_text().rstrip().endswith(".")


@pytest.mark.parametrize(
    "options", [{}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 800}}]
)
def test_nothing_stands_in_anybodys_way(opened: Any, options: dict[str, Any]) -> None:
    page = opened(**options)
    assert serious_faults(page) == []
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]


def test_it_is_small(page_file: Path) -> None:
    assert page_file.stat().st_size < 1_000_000
