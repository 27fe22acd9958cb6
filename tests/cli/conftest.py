"""The command line within the test's own process, exactly as the installed command runs it."""

import sys
from pathlib import Path

import pytest
from cli_said import Said, Turncoat

from turncoat.cli import main


@pytest.fixture
def turncoat(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Turncoat:
    """Run a command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["turncoat", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    return run
