"""The page in a real browser, from the disk, with the network off."""

from pathlib import Path
from typing import Any

import pytest

from browsing import browser, needs_chromium, opened, serious_faults
from turncoat.report.report import Report
from turncoat.report.saving import save

__all__ = ["browser", "opened"]  # fixtures
pytestmark = needs_chromium


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory, report: Report) -> Path:
    return save(report, tmp_path_factory.mktemp("page") / "page.html")[0]


def test_pictures_have_a_size_and_switches_change_them(opened: Any) -> None:
    page = opened()
    shown = page.locator(".view:not([hidden])")
    assert shown.count() == 1 and "random, accuracy" in shown.inner_text()
    box = page.locator(".view:not([hidden]) svg").bounding_box()
    assert box["width"] > 100 and box["height"] > 60
    page.get_by_label("measure").select_option("macro F1")
    assert shown.count() == 1 and "random, macro F1" in shown.inner_text()
    page.get_by_label("attack").select_option(index=1)
    assert "<script>" in shown.inner_text() and "macro F1" in shown.inner_text()


def test_what_is_pointed_at_is_told(opened: Any) -> None:
    page = opened()
    page.locator(".view:not([hidden]) svg [data-tip]").nth(1).hover(force=True)
    assert page.locator("#tip").inner_text() == "random accuracy: 0.9"


def test_tables_are_sorted_and_filtered(opened: Any) -> None:
    page = opened()
    head = page.get_by_role("button", name="harm")
    column = page.locator("tbody tr:visible :nth-child(2)")
    head.click()
    assert page.locator("th[aria-sort=ascending]").inner_text() == "harm"
    assert column.first.inner_text().startswith("0.0 %") and column.last.inner_text() == "50.0 %"
    head.click()
    assert column.first.inner_text() == "50.0 %"
    page.get_by_label("rows with").fill("owner 1")
    assert page.locator("tbody tr:visible").count() == 3


def test_without_javascript_everything_is_there(opened: Any) -> None:
    page = opened(java_script_enabled=False)
    assert page.locator(".view:visible").count() == 4 and page.locator("svg:visible").count() == 4
    assert page.locator("tbody tr:visible").count() == 13 and page.locator("select").count() == 0


@pytest.mark.parametrize(
    "options", [{}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 800}}]
)
def test_nothing_stands_in_anybodys_way(opened: Any, options: dict[str, Any]) -> None:
    page = opened(**options)
    assert serious_faults(page) == []
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (options.get("color_scheme") != "dark")
