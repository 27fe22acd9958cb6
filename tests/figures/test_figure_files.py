import functools
import shutil
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import pandas as pd
import pytest
from matplotlib.image import imread

from turncoat import TurncoatError, figures
from turncoat.figures import FIGURES, caption_of, draw, files, style

MAGIC = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


class Made:
    """A picture that ``draw`` makes as a .png, and its figure to write with other endings."""

    def __init__(self, name, rows, folder, monkeypatch):
        self.folder = folder

        def save(figure, path):
            files.save(figure, path)
            with style.applied():
                self.figure, self.tight = figure, figure.get_tightbbox()

        with monkeypatch.context() as patched:
            patched.setattr(figures, "files", SimpleNamespace(save=save))
            draw(name, rows, folder / "picture.png")

    def file(self, ending):
        path = self.folder / f"picture{ending}"
        if not path.exists():
            files.save(self.figure, path)
        return path


@pytest.fixture(scope="module")
def made(frames, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield functools.cache(
            lambda name, copies=0: Made(
                name, frames[name].copy() if copies else frames[name], tmp_path_factory.mktemp(name), patch
            )
        )


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("ending", MAGIC)
def test_every_figure_is_written_in_every_format(made, name, ending):
    path = made(name).file(ending)
    assert path.read_bytes().startswith(MAGIC[ending])
    assert {p.suffix for p in path.parent.iterdir()} <= MAGIC.keys()
    if ending == ".png":
        pixels = imread(path)
        assert pixels.shape[1] >= 1000
        assert pixels[..., :3].std() > 0.05


@pytest.mark.parametrize("ending", MAGIC)
def test_the_ending_decides_the_format(curves, ending, tmp_path):
    path = tmp_path / f"picture{ending}"
    draw("budget", curves, path)
    assert path.read_bytes().startswith(MAGIC[ending])
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["budget", "heatmap", "visibility"])
@pytest.mark.parametrize("ending", MAGIC)
def test_the_same_rows_give_the_same_bytes(made, name, ending):
    first, second = made(name), made(name, copies=1)
    assert first.figure is not second.figure
    assert first.file(ending).read_bytes() == second.file(ending).read_bytes()


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_sticks_out_of_the_picture(made, name):
    tight = made(name).tight
    width, height = made(name).figure.get_size_inches()
    assert tight.x0 > -0.01
    assert tight.y0 > -0.01
    assert tight.x1 < width + 0.01
    assert tight.y1 < height + 0.01


def test_a_figure_keeps_its_looks_and_is_written_as_whoever_saves_it_asks(curves, tmp_path):
    path = tmp_path / "own.svg"
    with matplotlib.rc_context({"xtick.labelsize": 20, "ytick.labelsize": 20, "svg.fonttype": "none"}):
        FIGURES["budget"].draw(curves).savefig(path)
    written = path.read_text()
    assert "font-size: 6.5px" in written and "font-size: 20px" not in written and "<text" in written


def test_a_caption_can_be_left_to_the_text(curves, plainly):
    with_caption = plainly("budget")
    without = FIGURES["budget"].draw(curves, captioned=False)
    assert caption_of(without) == caption_of(with_caption)
    assert without.get_size_inches()[1] < with_caption.get_size_inches()[1]


def test_an_existing_file_stays_whole_when_writing_fails(curves, tmp_path, monkeypatch):
    path = tmp_path / "budget.png"
    path.write_bytes(b"before")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    with pytest.raises(TurncoatError, match="cannot be written: No space left on device"):
        draw("budget", curves, path)
    assert path.read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("picture.gif", r"cannot end in '\.gif' \(allowed: \.pdf, \.png, \.svg\)"),
        ("picture", "cannot end in ''"),
        ("nowhere/picture.png", "there is no folder .*nowhere; make it first"),
        ("folder.png", "is a folder; name a file in it"),
    ],
)
def test_bad_paths_are_refused_before_drawing(tmp_path, path, message):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(TurncoatError, match=message) as caught:
        draw("budget", pd.DataFrame(), tmp_path / path)
    assert "\n" not in str(caught.value)
    shutil.rmtree(tmp_path / "folder.png")
    assert not list(Path(tmp_path).iterdir())
