"""The page over a folder of artefacts, and the links to it."""

from pathlib import Path

import pytest

from turncoat.report.html import as_html
from turncoat.report.markdown import as_markdown
from turncoat.reproduce import gallery

CLAIMS = "| 1 | holds | B:fig5 B:fig20 |\n| B:fig8 | raw | see B:fig8 |\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "drawn"
    folder.mkdir()
    (folder / "B-fig5-raw.txt").write_text("B-fig5-raw: All runs: 3.\n\nB-fig5-raw-last: The last epoch.\n")
    (folder / "B-fig5-unit.txt").write_text("B-fig5-unit: On unit scale.\n")
    for name in (
        "B-fig5-raw.png",
        "B-fig5-raw.svg",
        "B-fig5-raw.csv",
        "B-fig5-raw-last.svg",
        "B-fig5-unit.svg",
    ):
        (folder / name).write_text("")
    (folder / gallery.INDEX).write_text(gallery.page(folder))
    return folder


def test_the_page_shows_what_the_folder_holds_and_links_only_to_that(folder: Path) -> None:
    text = gallery.page(folder)
    assert text.count("## ") == 1 and "## B:fig5" in text
    assert "![B:fig5, raw scale](B-fig5-raw.png)\n\nBeside it" in text and "All runs: 3." not in text
    captioned = gallery.page(folder, captions=True)
    assert "![B:fig5, raw scale](B-fig5-raw.png)\n\nAll runs: 3.\n\nBeside it" in captioned
    assert captioned.count("All runs: 3.") == 1
    assert "Beside it: [last](B-fig5-raw-last.svg), [numbers](B-fig5-raw.csv)." in text
    assert "![B:fig5, unit scale](B-fig5-unit.svg)\n\nOn unit scale." in captioned
    assert text.index("raw scale") < text.index("unit scale")


def test_artefacts_in_tables_lead_to_their_section(folder: Path) -> None:
    text = gallery.linked(CLAIMS, folder, folder.parent)
    assert "| [B:fig5](drawn/index.md#bfig5) B:fig20 |" in text
    assert "| B:fig8 | raw | see B:fig8 |" in text  # not drawn, so not linked
    assert "](../drawn/index.md#bfig5)" in gallery.linked(CLAIMS, folder, folder.parent / "docs")


def test_without_a_page_nothing_is_linked(tmp_path: Path) -> None:
    assert gallery.linked(CLAIMS, tmp_path / "none", tmp_path) == CLAIMS


def test_the_report_switches_between_scales_and_keeps_pictures_beside_it(folder: Path) -> None:
    made = gallery.report(folder)
    assert [section.title for section in made.sections] == ["B:fig5"]
    (choice,) = made.sections[0].blocks
    shown = {options: blocks[0].file for options, blocks in choice.views}
    first = gallery.FIRST
    assert shown == {
        ("raw", first): "B-fig5-raw.png",
        ("raw", "last"): "B-fig5-raw-last.svg",
        ("unit", first): "B-fig5-unit.svg",
    }
    page = as_html(made)
    assert '<img src="B-fig5-raw.png" alt="All runs: 3."' in page
    assert "img-src data: 'self' file:" in page and "B:fig5, raw scale, as the paper has it" in page
    assert "(B-fig5-raw.png)" in as_markdown(made)
