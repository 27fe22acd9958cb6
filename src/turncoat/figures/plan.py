"""A plan of a whole training: which class goes to which, how the search went, and whom the flips hit."""

import dataclasses
from collections.abc import Callable, Mapping

import matplotlib
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure

from turncoat import errors
from turncoat.analysis.planned import plan as make
from turncoat.attack.names import PLANS
from turncoat.data.dataset import Dataset
from turncoat.figures import captions, chosen, grid, style
from turncoat.planning.plan import Plan
from turncoat.planning.planner import TRIED
from turncoat.sweep.cells import COLUMNS, Cell, config, from_config
from turncoat.sweep.prepared import checked

COLOURS = "viridis"
SHOWN = 10  # images
NUMBERED = 12  # classes up to which each cell of the table has its number
Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True, eq=False)
class Drawn:
    """A plan, the data that it was made for, and the cell of the store that follows it."""

    plan: Plan
    data: Dataset
    cell: Cell


def planned_anew(curves: pd.DataFrame, where: Mapping[str, object] | None, progress: Progress) -> Drawn:
    """The plan of the store's planned cell, made again as its training made it; of several seeds the first.

    Raises:
        TurncoatError: if there is no such cell, several that differ in more than the seed, one in a federation, or
            if its data can't be had as they were.
    """
    cell = _planned_cell(chosen.keep(curves, where))
    if cell.federation.workers:
        raise errors.TurncoatError(
            "figure 'plan' shows plans of pooled training, but these cells are a federation's: choose others with"
            " --where workers=0"
        )
    data = checked(cell.problem, cell.fingerprint)
    return Drawn(
        make(data, cell.problem.model, cell.threat, cell.recipe, cell.seed, progress=progress), data, cell
    )


def plan(drawn: Drawn, *, captioned: bool = True) -> Figure:
    """The table of classes, the planning objective by round, and, of images, the one of each class that is hit most."""
    data = drawn.data
    soft = drawn.plan.average(data.x, data.y)
    pictures = _chosen(soft, data) if _are_images(data) else []
    table = drawn.plan.table(data.x, data.y).numpy()
    side = grid.CELL * min(len(table), NUMBERED) + 0.5
    height = side + (0.95 if pictures else 0.0)
    figure, top = style.canvas(side + 0.7 + 2.9, height, _caption(drawn, bool(pictures)), captioned)
    panels = top
    if pictures:
        parts = top.add_gridspec(2, 1, height_ratios=[side, 0.95])
        panels = top.add_subfigure(parts[0])
        _draw_images(top.add_subfigure(parts[1]), pictures, soft, data)
    left, right = panels.subplots(1, 2, width_ratios=[side + 0.7, 2.9])
    _draw_table(left, table, data.class_names)
    _draw_search(right, drawn.plan.objective)
    return figure


def _planned_cell(rows: pd.DataFrame) -> Cell:
    """The first planned cell of these rows.

    Raises:
        TurncoatError: if there is none, or several settings.
    """
    own = rows[(rows["selection"].isin(PLANS)) & (rows["write_access"] > 0)]
    if own.empty:
        raise errors.TurncoatError(
            'no cell here was planned: sweep one with selection = "planned", or choose another with --where'
        )
    own = own[list(COLUMNS)].drop_duplicates().sort_values("seed")
    several = {name: own[name].dropna().unique().tolist() for name in COLUMNS if name != "seed"}
    if several := {name: sorted(values, key=str) for name, values in several.items() if len(values) > 1}:
        raise chosen.mixed(several)
    first = own.iloc[:1].astype(object).to_dict("records")[0]
    return from_config({str(name): None if pd.isna(value) else value for name, value in first.items()})


def _are_images(data: Dataset) -> bool:
    return len(data.shape) == 3 and data.shape[0] in (1, 3) and min(data.shape[1:]) > 1


def _chosen(soft: Float[torch.Tensor, "n c"], data: Dataset) -> list[int]:
    """The row of each class whose labels are wrong most, for the classes that are hit most."""
    wrong = 1 - soft.gather(1, data.y.unsqueeze(1)).squeeze(1)
    best = [
        int(wrong.masked_fill(data.y != label, -1).argmax())
        for label in range(data.classes)
        if bool((data.y == label).any())
    ]
    most = sorted(best, key=lambda row: -float(wrong[row]))[:SHOWN]
    return sorted((row for row in most if wrong[row] > 0), key=lambda row: int(data.y[row]))


def _draw_table(ax: Axes, table: Float[np.ndarray, "c c"], names: tuple[str, ...]) -> None:
    named = list(names) if names else list(range(len(table)))
    frame = pd.DataFrame(table[::-1], index=named[::-1], columns=named)  # the first row at the top
    few = len(table) <= NUMBERED
    mesh = grid.draw_grid(
        ax,
        frame,
        matplotlib.colormaps[COLOURS],
        Normalize(0, 1),
        lambda share: f"{100 * share:.0f}" if few and share >= 0.005 else "",
    )
    mesh.set_gid("table")
    if not few:
        mesh.set_edgecolor("none")
        ax.set_xticks([])
        ax.set_yticks([])
    ax.set_xlabel("label")
    ax.set_ylabel("true class")
    ax.set_title("share of rounds (%)")


def _draw_search(ax: Axes, objective: tuple[float, ...]) -> None:
    ax.plot(range(1, len(objective) + 1), objective, color=style.BLUE, marker="o", gid="objective")
    if len(objective) > TRIED:
        ax.axvline(TRIED + 0.5, color=style.GREY, linewidth=0.8, linestyle=style.DASHED, gid="more rows")
    ax.set_xlabel("round of the search")
    ax.set_title("planning objective, on training data")
    ax.set_ylim(0, None)


def _draw_images(
    panels: SubFigure, pictures: list[int], soft: Float[torch.Tensor, "n c"], data: Dataset
) -> None:
    named = data.class_names or tuple(map(str, range(data.classes)))
    axes = panels.subplots(1, len(pictures), squeeze=False)[0]
    for ax, row in zip(axes, pictures, strict=True):
        image = data.x[row].view(data.shape).permute(1, 2, 0).numpy()
        low, high = float(image.min()), float(image.max())
        ax.imshow((image - low) / max(high - low, 1e-9), cmap="gray_r", gid=f"row {row}")
        ax.set_axis_off()
        own = int(data.y[row])
        wrong = soft[row].clone()
        wrong[own] = 0
        ax.set_title(f"{named[own]} → {named[int(wrong.argmax())]}\n{100 * float(wrong.sum()):.0f} %")


def _caption(drawn: Drawn, images: bool) -> str:
    threat, objective = drawn.cell.threat, drawn.plan.objective
    rows = pd.DataFrame([config(drawn.cell)])
    parts = [
        f"A plan for k = {threat.write_access:g}, b = {threat.local_budget:g}, {threat.goal}, seed {drawn.cell.seed}:"
        " the labels that each class carries, as the share of all rounds",
        captions.setting(rows),
        f"The objective is about the accuracy on training data at the end: {objective[0]:.2f} in the first round,"
        f" {min(objective):.2f} in the best",
    ]
    if len(objective) > TRIED:
        parts.append(
            f"Up to the dashed line several starts are compared, on few rows; the best was {drawn.plan.made.start}"
        )
    if images:
        parts.append(
            "Images: of each class the one that is flipped most, with its commonest wrong label and the share of"
            " rounds in which its label is wrong"
        )
    return captions.sentences(parts)
