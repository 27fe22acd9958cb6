"""Draw every figure and table that the committed results hold, one picture per scale, for one page.

    python docs/gen_figures.py results docs/figures

`turncoat reproduce all --from results` writes the same pictures larger, in three formats, with the last epoch, the
optimal flips and the numbers beside them.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt

from turncoat.reproduce import extracts, gallery, pictures, plan
from turncoat.reproduce.artefacts import ARTEFACTS
from turncoat.sweep import experiment

DPI = 110


def main(results: Path, folder: Path) -> None:
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
            first = pictures.variants(artefact, own)[0]
            figure = pictures.picture(artefact, asked, own, first, len(wanted))
            stem = pictures.stem_of(artefact, asked)
            figure.savefig(folder / f"{stem}.png", dpi=DPI)
            (folder / f"{stem}.txt").write_text(f"{stem}: {figure.get_label()}\n", encoding="utf-8")
            plt.close(figure)
    (folder / gallery.INDEX).write_text(gallery.page(folder), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
