import shutil
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.image import imread

from turncoat import TurncoatError
from turncoat.figures import FIGURES, caption_of, draw

MAGIC = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


@pytest.fixture
def frames(curves, matrix_curves, defended_curves, reached, messages, drawn_plan, near):
    return dict.fromkeys(FIGURES, curves) | {
        "matrix": matrix_curves,
        "defences": defended_curves,
        "certificate": reached,
        "visibility": messages,
        "plan": drawn_plan,
        "reach": near,
    }


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("ending", MAGIC)
def test_every_figure_is_written_in_every_format(frames, name, ending, tmp_path):
    path = tmp_path / f"picture{ending}"
    draw(name, frames[name], path)
    assert path.read_bytes().startswith(MAGIC[ending])
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    if ending == ".png":
        pixels = imread(path)
        assert pixels.shape[1] >= 1000
        assert pixels[..., :3].std() > 0.05


@pytest.mark.parametrize("name", ["budget", "heatmap", "visibility"])
@pytest.mark.parametrize("ending", MAGIC)
def test_the_same_rows_give_the_same_bytes(frames, name, ending, tmp_path):
    first, second = tmp_path / f"a{ending}", tmp_path / f"b{ending}"
    draw(name, frames[name], first)
    draw(name, frames[name].copy(), second)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_sticks_out_of_the_picture(frames, name):
    figure = FIGURES[name].draw(frames[name])
    figure.draw_without_rendering()  # the layout of the first pass decides the ticks of the second
    tight = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert tight.x0 > -0.01
    assert tight.y0 > -0.01
    assert tight.x1 < width + 0.01
    assert tight.y1 < height + 0.01


def test_a_caption_can_be_left_to_the_text(curves):
    with_caption = FIGURES["budget"].draw(curves)
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
