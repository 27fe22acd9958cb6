"""Files are written whole or not at all; links are followed, pipes and devices are written through."""

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from turncoat import TurncoatError
from turncoat.writing import is_shown, refuse_place, refuse_places, write_whole


def text(path: Path) -> None:
    path.write_text("written\n")


def half(path: Path) -> None:
    path.write_text("half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_there_whole_or_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    write_whole(file, text)
    assert file.read_text() == "written\n"
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~mask
    file.chmod(0o640)
    write_whole(file, text)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640, "the mode that it had stays"
    with pytest.raises(TurncoatError, match=r"a\.csv: cannot be written: No space left"):
        write_whole(file, half)
    assert file.read_text() == "written\n"
    assert names(tmp_path) == ["a.csv"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed(tmp_path: Path, there: bool) -> None:
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "target.csv", tmp_path / "link.csv"
    if there:
        target.write_text("before")
    link.symlink_to(Path("folder") / "target.csv")
    refuse_place(link)
    write_whole(link, text)
    assert link.is_symlink() and target.read_text() == "written\n"
    assert names(tmp_path) == ["folder", "link.csv"] and names(target.parent) == ["target.csv"]


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    link, circle = tmp_path / "link", tmp_path / "circle"
    link.symlink_to(tmp_path / "no" / "target")
    with pytest.raises(
        TurncoatError, match=r"link leads to .*no/target, but there is no folder .*no; make it"
    ):
        refuse_place(link)
    circle.symlink_to(circle)
    with pytest.raises(TurncoatError, match="circle: cannot be written: Too many levels"):
        write_whole(circle, text)
    assert circle.is_symlink() and names(tmp_path) == ["circle", "link"]


def test_a_pipe_is_written_through(tmp_path: Path) -> None:
    pipe, seen = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: seen.append(pipe.read_text()))
    reader.start()
    write_whole(pipe, text)
    reader.join()
    assert seen == ["written\n"] and pipe.is_fifo() and names(tmp_path) == ["pipe"]


@pytest.mark.parametrize("linked", [False, True])
def test_a_device_is_written_through(tmp_path: Path, linked: bool) -> None:
    ours, theirs = os.openpty()
    device = Path(os.ttyname(theirs))
    path = tmp_path / "link"
    path.symlink_to(device)
    write_whole(path if linked else device, text)
    assert os.read(ours, 100) == b"written\r\n"
    assert device.is_char_device() and path.is_symlink()
    os.close(ours)
    os.close(theirs)


def test_a_dash_is_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_shown(Path("-")) and not is_shown(tmp_path / "a.csv")
    print("before", end=" ")
    write_whole(Path("-"), text)
    assert capsys.readouterr().out == "before written\n"
    assert names(tmp_path) == []
    with pytest.raises(TurncoatError, match="- is named for two files"):
        refuse_places([Path("-"), Path("-")])


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="there is no /dev/stdout")
@pytest.mark.parametrize("into", ["a pipe", "a file"])
def test_standard_output_by_its_path(tmp_path: Path, into: str) -> None:
    """A file that the shell has opened for us is not replaced behind its back."""
    code = (
        "from pathlib import Path\n"
        "from turncoat.writing import is_shown, write_whole\n"
        "print('first', is_shown(Path('/dev/stdout')))\n"
        "write_whole(Path('/dev/stdout'), lambda path: path.write_text('written\\n'))\n"
        "print('last')\n"
    )
    command = [sys.executable, "-c", code]
    if into == "a pipe":
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    else:
        with (tmp_path / "out").open("wb") as file:
            subprocess.run(command, stdout=file, check=True)
        said = (tmp_path / "out").read_text()
    assert said == "first True\nwritten\nlast\n"
