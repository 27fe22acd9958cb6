"""Draw every figure and table that the committed results hold, one picture per scale, for one page.

    python docs/gen_figures.py results docs/figures docs/images/results

`turncoat reproduce all --from results` writes the same pictures larger, in three formats, with the last epoch, the
optimal flips and the numbers beside them. Pictures that are in the last folder, which pages show, are drawn anew.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt

from turncoat.reproduce import extracts, gallery, pictures, plan
from turncoat.reproduce.artefacts import ARTEFACTS
from turncoat.sweep import experiment

DPI = 110
SHOWN_DPI = 150
LINKED = pictures.MISSING.replace("What was run", "[What was run](../claims.md#what-was-run)")


def main(results: Path, folder: Path, shown: Path) -> None:
    """Draw what the folder of extracts holds, and write the page last, so that it is there only when all else is."""
    held = extracts.read(results)
    known = plan.Known(set(held.points["key"]), set(held.points["epochs"]))
    folder.mkdir(parents=True, exist_ok=True)
    for artefact in ARTEFACTS.values():
        for asked in plan.as_measured(artefact, plan.Wanted(), known):
            wanted = experiment.cells(asked)
            own = held.of(wanted)
            if not pictures.is_measured(artefact, own):
                continue
            stem = pictures.stem_of(artefact, asked)
            for variant in pictures.variants(artefact, own):
                first, picture = variant.ending == "", shown / f"{stem}{variant.ending}.png"
                if not first and not picture.exists():
                    continue
                if picture.exists():  # alone on pages such as README, so with its caption
                    pictures.picture(artefact, asked, own, variant, len(wanted)).savefig(
                        picture, dpi=SHOWN_DPI
                    )
                if first:
                    figure = pictures.picture(artefact, asked, own, variant, len(wanted), captioned=False)
                    figure.savefig(folder / f"{stem}.png", dpi=DPI)
                    text = f"{stem}: {figure.get_label()}\n"
                    (folder / f"{stem}.txt").write_text(text, encoding="utf-8")
                plt.close("all")
    text = gallery.page(folder, captions=True).replace(pictures.MISSING, LINKED)
    (folder / gallery.INDEX).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
