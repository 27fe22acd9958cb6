"""The reference pages are written from the code, and miss nothing."""

import importlib.util
import re
from pathlib import Path

import click
import pytest

from turncoat.analysis.skill import NO_SKILL
from turncoat.attack.names import PLANNED
from turncoat.attack.rivals import PARAMETRIC
from turncoat.attack.selection import SELECTIONS
from turncoat.cli import turncoat
from turncoat.cli.show import warning_lines
from turncoat.federation import AGGREGATORS, GRADIENT_ATTACKS, PREAGGREGATORS
from turncoat.figures import FIGURES
from turncoat.models import MODELS
from turncoat.sweep.cells import KEYS
from turncoat.training.stability import UNSTABLE_STEP

CODE_WIDTH = 96
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def hook():
    spec = importlib.util.spec_from_file_location("gen_reference", DOCS / "gen_reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def every(command: click.Command, path: tuple[str, ...]):
    yield command, path
    for name, inner in getattr(command, "commands", {}).items():
        yield from every(inner, (*path, name))


def test_every_command_and_option_is_there(hook):
    text = hook.filled(page("reference/commands.md"))
    for command, path in every(turncoat, ("turncoat",)):
        assert re.search(rf"^#+ {' '.join(path)}$", text, re.MULTILINE), path
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.opts[-1] in text, (path, parameter.opts)


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("reference/experiments.md", KEYS),
        ("reference/names.md", (*SELECTIONS, PLANNED, *MODELS, *FIGURES)),
        ("concepts/federation.md", (*AGGREGATORS, *PREAGGREGATORS, *GRADIENT_ATTACKS)),
    ],
)
def test_every_name_is_there(hook, file, names):
    text = hook.filled(page(file))
    assert [name for name in names if f"`{name}`" not in text] == []


def test_every_rule_with_numbers_is_there(hook):
    assert {form.partition(":")[0].partition("[")[0] for form in hook.TYPED} == set(PARAMETRIC)


def test_every_rule_names_its_source(hook):
    rows = [row for row in hook.aggregator_table().splitlines()[2:] if row]
    assert len(rows) == len(AGGREGATORS)
    assert [row for row in rows if not re.search(r"\b(19|20)\d\d\b", row)] == []


def test_code_fits_the_width_of_the_page(hook):
    """The site's column holds so many characters of code; the rest would have to be scrolled for."""
    wide = []
    for file in DOCS.rglob("*.md"):
        text = hook.filled(file.read_text(encoding="utf-8"))
        for block in re.findall(r"^ *```[^\n]*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
            wide += [(file.name, line) for line in block.splitlines() if len(line) > CODE_WIDTH]
    assert wide == []


def test_no_mark_is_left_over(hook):
    for file in DOCS.rglob("*.md"):
        assert "<!-- generate:" not in hook.filled(file.read_text(encoding="utf-8")), file


def test_every_warning_is_explained():
    text = page("concepts/stability.md")
    for name in (UNSTABLE_STEP, NO_SKILL):
        lines = warning_lines([name], 2.0)
        assert lines[0].startswith(f"warning {name}: ") and len(lines[0]) > 40
        part = text.split(f"### {name}\n")[1].split("\n### ")[0]
        assert "*Raised if*" in part and "*What to do.*" in part
