"""The digest of one's own code changes when what runs changes, and with nothing else."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from turncoat import TurncoatError
from turncoat.own_code import DIGITS, digest, imported, split

FILES = {
    "start.py": "import helper\nfrom mypkg.nets import make\n",
    "helper.py": "import json\nimport torch\n\nWIDTH = 3\n",
    "mypkg/__init__.py": "",
    "mypkg/nets.py": "from . import layers\nfrom .deep.blocks import block\n\n\ndef make():\n    return block\n",
    "mypkg/layers.py": "def later():\n    import lazily\n    return lazily\n",
    "mypkg/deep/__init__.py": "",
    "mypkg/deep/blocks.py": "from .. import shared\nblock = shared\n",
    "mypkg/shared.py": "ONE = 1\n",
    "mypkg/aside.py": "NOT = 'imported'\n",
    "lazily.py": "TWO = 2\n",
    "aside.py": "NOT = 'imported'\n",
}
Digest = Callable[[], str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    """As in a process of its own."""
    for name in list(sys.modules):
        if name.partition(".")[0] in ("start", "helper", "mypkg", "lazily"):
            del sys.modules[name]
    importlib.invalidate_caches()


def fresh(*more: str) -> str:
    forget()
    imported("start:make", "model", "mypkg.nets:make", "a module")
    return digest("start:make", *more)


@pytest.mark.parametrize("name", [name for name in FILES if "aside" not in name])
def test_an_edit_of_anything_that_is_imported_is_seen(folder: Path, name: str) -> None:
    before = fresh()
    assert len(before) == DIGITS and fresh() == before
    with (folder / name).open("a") as file:
        file.write("THREE = 3\n")
    assert fresh() != before


@pytest.mark.parametrize("name", [name for name in FILES if "aside" in name])
def test_an_edit_of_anything_else_is_not(folder: Path, name: str) -> None:
    before = fresh()
    (folder / name).write_text("THREE = 3\n")
    assert fresh() == before


def test_another_folder_and_other_line_ends_are_the_same_code(folder: Path, monkeypatch) -> None:
    before = fresh()
    (folder / "moved").mkdir()
    for name in FILES:
        (folder / "moved" / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / "moved" / name).write_bytes((folder / name).read_bytes().replace(b"\n", b"\r\n"))
    monkeypatch.chdir(folder / "moved")
    assert fresh() == before
    assert fresh("a shape") != before and fresh("a shape") == fresh("a shape") != fresh("another")


def test_code_that_is_edited_while_it_is_in_use(folder: Path, monkeypatch) -> None:
    before = fresh()
    (folder / "helper.py").write_text("WIDTH = 4\n")
    with pytest.raises(
        TurncoatError, match=r"helper\.py was edited after Python imported it.*start Python again"
    ):
        digest("start:make")
    monkeypatch.syspath_prepend(folder)
    importlib.reload(sys.modules["helper"])
    assert digest("start:make") != before


def test_a_module_that_is_imported_later_may_be_broken(folder: Path) -> None:
    before = fresh()
    (folder / "lazily.py").write_text("TWO = (\n")
    assert fresh() != before


def test_installed_code_counts_by_its_own_file_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = sys.modules["torch"]
    before = digest("torch.nn:Linear")
    assert digest("torch.nn:Linear") == before
    monkeypatch.setattr(torch, "__version__", "0.0")
    assert digest("torch.nn:Linear") != before


def test_code_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function of a notebook has no module file; what nobody has the source of still has a name."""
    module = type(sys)("in_a_notebook")
    module.make = fresh
    monkeypatch.setitem(sys.modules, "in_a_notebook", module)
    before = digest("in_a_notebook:make")
    module.make = forget
    assert digest("in_a_notebook:make") != before
    assert len(digest("builtins:dict")) == DIGITS


def test_a_digest_is_split_off() -> None:
    assert split("mypkg.nets:make@0123456789") == ("mypkg.nets:make", "0123456789")
    assert split("mypkg.nets:make") == ("mypkg.nets:make", "")
