"""An artefact of one scale as files: pictures, the numbers behind them, and a caption."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from turncoat import errors
from turncoat.analysis.estimate import statistics
from turncoat.analysis.reached import STATISTICS
from turncoat.figures import FIGURES, caption_of, captions, files, style
from turncoat.precision import FLOAT32
from turncoat.reproduce import plan, ratios
from turncoat.reproduce.artefacts import Artefact
from turncoat.reproduce.evidence import MEASURES, Evidence, harms
from turncoat.reproduce.measures import OPTIMAL, PRINTED
from turncoat.sweep import experiment
from turncoat.sweep.cells import COLUMNS
from turncoat.sweep.experiment import Experiment
from turncoat.writing import write_whole

ENDINGS = (".png", ".svg", ".pdf")
TITLE_SIZE = 7.5
MISSING = "What was run, with the verdicts on the claims, says what was cut"


@dataclasses.dataclass(frozen=True)
class Variant:
    """One picture of an artefact: which rule, which statistic, and how its file's name ends."""

    rule: str
    statistic: str
    ending: str


VARIANTS = (
    Variant(PRINTED, "tail", ""),
    Variant(PRINTED, "last", "-last"),
    Variant(OPTIMAL, "tail", "-optimal"),
)


def make(
    artefact: Artefact,
    asked: Experiment,
    evidence: Evidence,
    folder: Path,
    quick: bool = False,
    endings: Sequence[str] = ENDINGS,
) -> list[Path]:
    """Write the files of an artefact in one scale, every picture with each of the ``endings``; their paths.

    Raises:
        TurncoatError: if nothing of it was measured, or a file cannot be written.
    """
    wanted = experiment.cells(asked)
    own = evidence.of(wanted)
    refuse_unmeasured(artefact, asked, own)
    stem = stem_of(artefact, asked)
    table = numbers(artefact, own)
    written = [folder / f"{stem}.csv"]
    write_whole(written[0], lambda path: table.to_csv(path, index=False))
    texts = {}
    for variant in variants(artefact, own):
        figure = picture(artefact, asked, own, variant, len(wanted), quick)
        texts[stem + variant.ending] = str(figure.get_label())
        for ending in endings:
            written.append(folder / f"{stem}{variant.ending}{ending}")
            files.save(figure, written[-1])
    written.append(folder / f"{stem}.txt")
    text = "\n\n".join(f"{name}: {text}" for name, text in texts.items()) + "\n"
    write_whole(written[-1], lambda path: path.write_text(text, encoding="utf-8"))
    return written


def stem_of(artefact: Artefact, asked: Experiment) -> str:
    """How the names of an artefact's files begin in one scale."""
    return f"{artefact.stem}-{asked.axes['scale'][0]}"


def picture(
    artefact: Artefact,
    asked: Experiment,
    own: Evidence,
    variant: Variant,
    wanted: int,
    quick: bool = False,
    captioned: bool = True,
) -> Figure:
    """One picture of an artefact in one scale, of ``wanted`` runs in all; its label is the caption.

    It stands in the picture too unless ``captioned`` is false, as on a page that has it below.
    """
    figure = drawn(artefact, own, variant, captioned)
    figure.set_label(caption(artefact, asked, wanted, own, figure, quick))
    title = f"{artefact.name}, {asked.axes['scale'][0]} scale" + (", quick" if quick else "")
    numbers = asked.axes.get("precision", (FLOAT32,))[0]
    title += f", {numbers}" if numbers != FLOAT32 else ""
    figure.suptitle(title, size=TITLE_SIZE)
    style.settle(figure)
    return figure


def is_measured(artefact: Artefact, own: Evidence) -> bool:
    """Whether the evidence on an artefact is enough to draw it; a spread takes two seeds."""
    rows = own.curves if artefact.figure == "epochs" else own.points
    rows = rows[rows["write_access"] > 0]
    return rows["seed"].nunique() >= (2 if artefact.figure == "spread" else 1)


def refuse_one_seed(artefact: Artefact, asked: Experiment) -> None:
    """Refuse a spread over seeds that is asked for with one.

    Raises:
        TurncoatError: says how many seeds it takes.
    """
    if artefact.figure == "spread" and len(asked.seeds) < 2:
        raise errors.TurncoatError(f"{artefact.name} is a spread over seeds: give --seeds 2 or more")


def refuse_unmeasured(artefact: Artefact, asked: Experiment, own: Evidence, options: str = "") -> None:
    """Refuse to draw what is not there; ``options`` are those of the command line that asked for it.

    Raises:
        TurncoatError: says which command trains it.
    """
    refuse_one_seed(artefact, asked)
    if not is_measured(artefact, own):
        scale, epochs = asked.axes["scale"][0], max(asked.axes["epochs"])
        raise errors.TurncoatError(
            f"{artefact.name} in {scale} scale: the results hold no attacked run of {epochs} epochs; train them with:"
            f" turncoat reproduce {artefact.name} --scale {scale}{options}, or say with --epochs, --seeds or"
            " --quick which they hold"
        )


def variants(artefact: Artefact, own: Evidence) -> list[Variant]:
    """The pictures that can be drawn."""
    if artefact.figure == "ratios":
        return [VARIANTS[0]]
    if artefact.figure == "rules":
        return [Variant("", statistic, ending) for statistic, ending in (("tail", ""), ("last", "-last"))]
    rows = own.curves if artefact.figure == "epochs" else own.points
    rules = set(rows[rows["write_access"] > 0]["selection"])
    known = ("tail",) if artefact.figure == "epochs" else STATISTICS
    return [v for v in VARIANTS if v.rule in rules and v.statistic in known]


def drawn(artefact: Artefact, own: Evidence, variant: Variant, captioned: bool = True) -> Figure:
    """One picture of an artefact."""
    if artefact.figure == "ratios":
        return ratios.ratio_figure(own.points, captioned)
    choices: dict[str, Any] = {
        **({"where": {"selection": variant.rule}} if variant.rule else {}),
        **artefact.choices,
        "captioned": captioned,
    }
    if artefact.figure == "epochs":
        frame = own.curves.assign(accuracy=own.curves["mean"], seed=0).drop(columns="key")
    else:
        choices |= {"metric": artefact.metric, "statistic": variant.statistic}
        frame = frame_of(own.points, variant.statistic)
    return FIGURES[artefact.figure].draw(frame, **choices)


def frame_of(points: pd.DataFrame, statistic: str) -> pd.DataFrame:
    """Curves of one epoch that hold a statistic of the whole curves, as pictures of statistics eat them."""
    values = {measure: points[f"{measure}.{statistic}"] for measure in MEASURES}
    kept = points[[*COLUMNS, "chance", "step_stability"]]
    return kept.assign(epoch=points["epochs"], **values)


def numbers(artefact: Artefact, own: Evidence) -> pd.DataFrame:
    """The numbers behind the pictures: one row per cell, for curves one per cell and epoch."""
    if artefact.figure == "epochs":
        return own.curves.drop(columns=["key", "seed"])
    if artefact.figure == "ratios":
        return ratios.ratios(own.points)
    cell = [name for name in COLUMNS if name != "seed"]
    rows = []
    for _, group in own.points.groupby(cell, dropna=False, sort=False):
        row = group.iloc[0][[*cell, "chance", "step_stability"]].to_dict() | {"seeds": len(group)}
        for statistic in STATISTICS:
            series = {f"{m}.{statistic}": group[f"{m}.{statistic}"] for m in MEASURES}
            series[f"harm.{statistic}"] = harms(group, statistic)
            for name, values in series.items():
                if len(known := values.dropna()):
                    row |= {f"{name}.{figure}": v for figure, v in statistics(known).items()}
        rows.append(row)
    return pd.DataFrame(rows).sort_values(
        ["goal", "selection", "schedule", "last_rounds", "write_access", "local_budget"]
    )


def caption(
    artefact: Artefact, asked: Experiment, wanted: int, own: Evidence, figure: Figure, quick: bool
) -> str:
    """What the picture shows, with exact settings, and what was cut or chosen against the paper."""
    rows = own.curves if artefact.figure == "epochs" else own.points
    here = rows["seeds"].groupby(rows["key"]).first().sum() if artefact.figure == "epochs" else len(rows)
    less = plan.cut(artefact, asked)
    parts = [
        f"{artefact.name}, {artefact.title}" + (" (quick)" if quick else ""),
        caption_of(figure) or "",
        f"The paper: {artefact.states}" if artefact.states else "",
        artefact.note,
        f"Cut down: {less}" if less else "",
        f"{1 - here / wanted:.0%} of the runs are missing: {MISSING}" if here < wanted else "",
    ]
    return captions.sentences(parts)
