"""One report, shown four ways: the same values everywhere, nothing of the data taken for more than text."""

import dataclasses
import itertools
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from samples import NASTY, drawn

from turncoat.errors import TurncoatError
from turncoat.report.as_json import as_json
from turncoat.report.html import LIMIT, as_html
from turncoat.report.markdown import as_markdown
from turncoat.report.report import Column, Report, Section, Table, Text, shown
from turncoat.report.saving import save
from turncoat.report.terminal import as_lines


class Page(HTMLParser):
    """What a browser would see: tags with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        ((0.9, 0.85, 0.95), "share", "0.900 [0.850, 0.950]"),
        (0.0731, "percent", "7.3 %"),
        (-0.0001, "percent", "0.0 %"),
        (12345.0, "count", "12,345"),
        (float("nan"), "share", "–"),
        (float("inf"), "number", "∞"),
        (0.99999, "chance", "above 99.9 %"),
        (None, "text", ""),
        ("words", "text", "words"),
        ((0.5, 0.5, 0.5), "share", "0.500"),
        ((0.9, float("nan"), float("nan")), "share", "0.900 [1 seed]"),
    ],
)
def test_values_are_written_by_their_kind(value, kind, text):
    assert shown(value, kind) == text


def test_every_form_has_the_same_figures(report):
    forms = (Page(as_html(report)).text, as_markdown(report), as_lines(report))
    for form in forms:
        for row in range(12):
            assert shown((row / 100, row / 200, row / 50), "percent").replace("[", "") in re.sub(
                r"[\[\\]", "", form
            )
        for words in ("What is first.", "unstable-step: too long", "How much it costs.", "Made by turncoat."):
            assert words in form.replace("\\", "")
    found = json.loads(as_json(report))
    table = found["sections"][1]["blocks"][1]
    assert table["rows"][5] == {
        "who": "owner 5",
        "harm": {"value": 0.05, "low": 0.025, "high": 0.1},
        "rows": 5000,
        "p": 5 / 7,
    }
    assert table["rows"][12]["p"] is None and table["rows"][3]["p"] is None
    assert found["title"] == f"Audit of {NASTY}"


def test_what_comes_from_the_data_is_text(report):
    page = Page(as_html(report))
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert page.text.count("<script>alert(1)</script>") > 4 and "49" not in page.text
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "\x1b" not in as_lines(report) and "\x1b" not in as_markdown(report)
    assert "<script>" not in as_markdown(report).replace("\\<", "")


def test_the_page_asks_nothing_of_any_host(report):
    page = as_html(report)
    for tag, attributes in Page(page).tags:
        for name in ("src", "href", "xlink:href", "action", "data", "srcset", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, value)
    assert "url(" not in re.sub(r"url\(#p[0-9a-f]{8}-\d+\)", "", page) and "@import" not in page


def test_headings_come_in_order_and_ids_once(report):
    tags = Page(as_html(report)).tags
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_pictures_say_what_they_show_and_follow_the_page(report):
    one = drawn("one")
    root = ElementTree.fromstring(one.svg)
    assert root.get("role") == "img" and root.get("aria-label") == one.alt
    titles = [t.text for t in root.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == ["one: 0.1", "one: 0.9", "one: 0.4"]
    assert "currentColor" in one.svg and "#010101" not in one.svg
    assert "metadata" not in one.svg and "<!--" not in one.svg


def test_names_with_dollars_are_no_formulas():
    assert "$x^{" in drawn("cost in $x^{, $y").svg


@pytest.mark.parametrize("rows", [50, 200_000])
def test_a_page_stays_small_whatever_it_holds(rows):
    columns = (Column("name"), *(Column(f"c{i}", "share") for i in range(30)))
    table = Table(
        "Wide", columns, tuple((f"row {i} {'x' * 5000}", *[i / 7] * 30) for i in range(rows)), most=rows
    )
    pictures = tuple(drawn(f"picture {i}", tuple(j / 100 for j in range(2000))) for i in range(12))
    big = tuple(dataclasses.replace(p, svg=p.svg + " " * 400_000) for p in pictures)
    page = as_html(Report("Big", "It is big.", (Section("All", "Everything.", (table, *big)),)))
    assert len(page.encode()) < LIMIT < 5_000_000
    assert "Left out for want of room: a picture" in page
    if rows > 1000:
        assert f"of {rows} rows are shown" in page


def test_a_report_is_written_whole_or_not_at_all(tmp_path, report):
    files = save(report, tmp_path / "a.html")
    assert [file.name for file in files] == ["a.html", "a.json"]
    assert json.loads(files[1].read_text())["lead"] == "One sentence."
    assert files[0].read_text().startswith("<!DOCTYPE html>")
    assert save(report, tmp_path / "b.md")[0].read_text().startswith("# Audit of")
    for name, words in (
        ("c.pdf", "cannot end in '.pdf'"),
        ("none/c.html", "no folder"),
        ("folder.html", "is a folder"),
    ):
        (tmp_path / "folder.html").mkdir(exist_ok=True)
        with pytest.raises(TurncoatError, match=words):
            save(report, tmp_path / name)
    (tmp_path / "d.json").mkdir()
    with pytest.raises(TurncoatError, match="is a folder"):
        save(report, tmp_path / "d.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.html",
        "a.json",
        "b.json",
        "b.md",
        "d.json",
        "folder.html",
    ]


def test_lines_for_a_terminal(report):
    lines = as_lines(report, width=60)
    assert "\nHarm\n────\n" in lines and "random, accuracy" not in lines
    short = as_lines(report, details=False)
    assert "warning: unstable-step" in short and "Plain words" not in short
    table = Table("Long", (Column("n", "count"),), tuple((i,) for i in range(100)))
    told = as_lines(Report("T", "L", (Section("S", "L", (table, Text("end"))),)))
    assert "and 80 more rows" in told
