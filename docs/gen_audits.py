"""Write the audits that the site shows: real biopsies, and real penguins with text columns, gaps and owners.

    python docs/gen_audits.py docs/audits

Takes about a minute and a half on one core.
"""

import sys
from pathlib import Path

from sklearn.datasets import load_breast_cancer

import turncoat

PENGUINS = Path(__file__).parent.parent / "examples" / "audit" / "penguins.csv"


def main(folder: Path) -> None:
    """Write a page and its figures for each."""
    folder.mkdir(parents=True, exist_ok=True)
    cells = load_breast_cancer(as_frame=True)
    named = cells.target.map({0: "malignant", 1: "benign"})
    table = folder / "biopsies.csv"
    cells.data.assign(diagnosis=named).to_csv(table, index=False)
    turncoat.audit(table, label="diagnosis").to_html(folder / "biopsies.html")
    turncoat.audit(PENGUINS, label="species", owner="year").to_html(folder / "penguins.html")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
