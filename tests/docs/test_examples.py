"""What README and the documentation show is run: Python blocks, experiment files, and the options of commands."""

import re
import shlex
import sys
import tomllib
from pathlib import Path

import click
import pytest
import torch
from torch.utils.data import TensorDataset

from turncoat import load
from turncoat.attack.selection import SELECTIONS
from turncoat.cli import turncoat
from turncoat.data.catalogue import DATASETS
from turncoat.federation import AGGREGATORS
from turncoat.models import MODELS
from turncoat.sweep.experiment import cells, experiment

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^(<!-- not run: .+ -->\n)?```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^    (turncoat .+)$", re.MULTILINE)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[tuple[str, str]]:
    """What stands after the language, and the text, of each block that is not marked."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(about, text) for marked, kind, about, text in found if kind == language and not marked]


def commands() -> list[str]:
    """Every command line that begins with ``turncoat``."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = INDENTED.findall(text)
        lines += [line for _, block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
        lines += re.findall(r"`(turncoat [^`]+)`", text)
        found += [part.strip() for line in lines for part in line.split(" && ")]
    return sorted({line for line in found if line.startswith("turncoat ")})


def shorter(text: str) -> str:
    """The same calls with less training."""
    return text.replace("epochs=30", "epochs=2").replace("range(6)", "range(2)")


def stand_ins() -> dict[str, object]:
    """What the README's loop takes from the reader's own code."""
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(60, 4, generator=draw), torch.randint(3, (60,), generator=draw)
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    steps: list[int] = []

    def train_step(model, inputs, labels):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
        steps.append(len(labels))

    data = TensorDataset(x, y)
    return {
        "model": model, "x": x, "y": y, "dataset": data, "epochs": 2, "train_step": train_step, "steps": steps
    }  # fmt: skip


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """A folder to write to; what pages add to tables is taken out again."""
    tables = (SELECTIONS, AGGREGATORS, MODELS, DATASETS)
    before = [dict(table) for table in tables]
    modules = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for table, old in zip(tables, before, strict=True):
        table.clear()
        table.update(old)
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=named)
def test_python_blocks_run(page, own_folder, capsys):
    names = stand_ins() if page.name == "README.md" else {}
    for about, text in blocks(page, "python"):
        if title := re.search(r'title="(.+?)"', about):
            (own_folder / title[1]).write_text(text, encoding="utf-8")
        else:
            exec(compile(shorter(text), named(page), "exec"), names)
    if page.name == "README.md":
        assert sum(names["steps"]) == 2 * 60
        assert capsys.readouterr().out


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "toml")], ids=named)
def test_experiment_files_are_valid(page, own_folder):
    rows = load("digits")
    for _, text in blocks(page, "toml"):
        keys = tomllib.loads(text)
        if "label" in keys:  # a table of the reader's own
            header = [*(f"f{i}" for i in range(4)), keys["label"]]
            lines = [",".join(header)]
            for x, y in zip(rows.x[:100, 20:24].tolist(), (rows.y[:100] % 2).tolist(), strict=True):
                lines.append(",".join(map(str, [*x, "ab"[y]])))
            Path(keys["dataset"]).write_text("\n".join(lines), encoding="utf-8")
        assert any(not cell.threat.is_clean for cell in cells(experiment(keys, named(page))))


@pytest.mark.parametrize("line", commands())
def test_commands_take_these_options(line):
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = turncoat
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        words[0] = words[0].partition("|")[0]  # "data list|fetch|verify": one stands for all
        context = click.Context(command)
        command.parse_args(context, words)
        _, inner, words = command.resolve_command(context, [*context._protected_args, *context.args])
        assert inner is not None, line
        command = inner
    if words and "--list" not in words:
        command.make_context("turncoat", [word for word in words if word not in ("--help", "…")])
