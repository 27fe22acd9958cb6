"""How every picture looks: sizes, colours, fonts, and the canvas with its caption."""

import contextlib
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

ONE_COLUMN = 3.4  # inches
TWO_COLUMNS = 7.0
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"  # Okabe and Ito's safe colours
GOAL_COLOURS = {"untargeted": BLUE, "targeted": ORANGE}
GOAL_MARKERS = {"untargeted": "o", "targeted": "^"}
MARKERS = "os^DvPX*"
DASHED = (0, (4, 2))
CHANCE_DASHES = (0, (8, 4))
CAPTION_SIZE = 5.5
SHARE_MARGIN = 0.02
SAVED_DPI = 300  # pixels of an inch in a .png
WRITTEN = ("svg.", "pdf.", "ps.")  # settings of how a file is written, not of how a picture looks
LOG_FROM = 300  # shares that span more than this factor get a logarithmic axis
_LINE = CAPTION_SIZE * 1.32 / 72  # inches that a line of the caption takes
_LETTERS_PER_INCH = 24

RC: dict[str, object] = {
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.title_fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "legend.columnspacing": 1.2,
    "legend.labelspacing": 0.3,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.2,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
    "svg.hashsalt": "turncoat",  # the same picture is the same bytes
    "svg.fonttype": "path",
    "pdf.fonttype": 42,  # embedded TrueType, as publishers ask
    "figure.dpi": 200,
    "savefig.dpi": SAVED_DPI,
}


@contextlib.contextmanager
def applied() -> Iterator[None]:
    """Draw in the project's style, whatever the user's matplotlibrc says."""
    with matplotlib.style.context(["default", RC]):
        yield


class StyledFigure(Figure):
    """A figure that keeps this style whoever saves it: ticks are made when it is laid out and drawn."""

    def draw(self, renderer: Any) -> None:
        """Draw all of it in this style, and write it as whoever saves it asks: a page has its letters as text."""
        written = {key: value for key, value in matplotlib.rcParams.items() if key.startswith(WRITTEN)}
        with applied(), matplotlib.rc_context(written):
            _lay_out(self)
            super().draw(renderer)


def settle(figure: Figure) -> None:
    """Lay a figure out for good, at the resolution that it is saved in: names take more room than on a screen.

    So it is drawn once when it is saved, and each format finds it as the one before it did.
    """
    with applied():
        figure.set_dpi(SAVED_DPI)
        _lay_out(figure)
        _lay_out(figure)
        figure.set_layout_engine(None)


def _lay_out(figure: Figure) -> None:
    """Once; ticks and their names may be others in the room that they get, so that it takes two for a good layout."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)


def canvas(width: float, height: float, caption: str, captioned: bool = True) -> tuple[Figure, SubFigure]:
    """A figure of ``width`` by ``height`` inches for the panels, and the caption below it.

    The caption is the figure's label too, so that it can be had without the picture.
    """
    lines = textwrap.wrap(caption, int(width * _LETTERS_PER_INCH)) if captioned else []
    below = len(lines) * _LINE + 0.06 if lines else 0.0
    figure = StyledFigure(figsize=(width, height + below), layout="constrained")
    figure.set_label(caption)
    if not lines:
        return figure, figure.add_subfigure(figure.add_gridspec(1, 1)[0])
    parts = figure.add_gridspec(2, 1, height_ratios=[height, below])
    top, bottom = figure.add_subfigure(parts[0]), figure.add_subfigure(parts[1])
    bottom.text(
        0.06 / width, 1.0, "\n".join(lines), size=CAPTION_SIZE, va="top", color="#333333", linespacing=1.25
    )
    return figure, top


def access_colours(values: Sequence[float]) -> dict[float, tuple[float, float, float, float]]:
    """One colour per write access, dark to light as it grows."""
    shades = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.85, max(len(values), 2)))
    return {value: tuple(shade) for value, shade in zip(sorted(values), shades, strict=False)}


def access_markers(values: Sequence[float]) -> dict[float, str]:
    """One marker per write access, so that lines stay apart in grey."""
    return {value: MARKERS[i % len(MARKERS)] for i, value in enumerate(sorted(values))}


def levels(ax: Axes, clean: float | None, chance: float | None, clean_name: str = "clean") -> None:
    """Horizontal lines for the clean run (solid) and for chance (dashed), named in the right margin."""
    if clean is not None:
        ax.axhline(clean, color=GREY, linewidth=0.8, zorder=1, gid="clean")
    if chance is not None:
        ax.axhline(chance, color="black", linewidth=0.8, linestyle=CHANCE_DASHES, zorder=1, gid="chance")
    low, high = ax.get_ylim()
    named = [(y, name) for y, name in ((clean, clean_name), (chance, "chance")) if y is not None]
    near = len(named) == 2 and abs(named[0][0] - named[1][0]) < 0.09 * (high - low)
    sides: tuple[Literal["top", "bottom"], ...] = ("top", "bottom")
    for (y, name), side in zip(sorted(named), sides, strict=False):
        align = side if near else "center"
        name_end(ax, y, name, align)


def name_end(ax: Axes, y: float, name: str, align: Literal["top", "bottom", "center"] = "center") -> None:
    """Name a line in the right margin, at the height where it ends."""
    ax.text(1.015, y, name, transform=ax.get_yaxis_transform(), va=align, size=6.5, color=GREY)


def within_shares(ax: Axes) -> None:
    """Show no more than what shares can be: intervals of few seeds reach farther, and would flatten the lines."""
    low, high = ax.get_ylim()
    ax.set_ylim(max(low, -SHARE_MARGIN), min(high, 1 + SHARE_MARGIN))


def budget_axis(ax: Axes, values: Sequence[float]) -> None:
    """A linear axis, or a logarithmic one when the shares span more than a factor of 300."""
    positive = sorted(v for v in values if v > 0)
    if not positive or positive[-1] / positive[0] <= LOG_FROM:
        return
    ax.set_xscale("symlog", linthresh=positive[0]) if min(values) == 0 else ax.set_xscale("log")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
