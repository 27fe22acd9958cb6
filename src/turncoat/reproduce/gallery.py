"""One page over a folder of artefacts: their pictures and captions, for people to look through and link to."""

import os
import re
from pathlib import Path

from turncoat.data import SCALES
from turncoat.report.report import Choice, Picture, Report, Section
from turncoat.reproduce.artefacts import ARTEFACTS, Artefact

INDEX, PAGE = "index.md", "index.html"
TITLE = "The papers' figures and tables, made again"
FIRST = "as the paper has it"  # the picture whose name has no ending
NAMES = re.compile(r"(?<=\| )[ABC]:\w+(?: [ABC]:\w+)*(?= \|)")
"""A cell of a Markdown table that holds nothing but names of artefacts."""


def page(folder: Path, captions: bool = False) -> str:
    """The page of all artefacts that have files in the folder, whenever they were made, as Markdown.

    It has ``captions`` where the pictures were drawn without: a picture carries its caption once.
    """
    return (
        "\n\n".join([f"# {TITLE}", *(_section(artefact, folder, captions) for artefact in _there(folder))])
        + "\n"
    )


def report(folder: Path) -> Report:
    """The same as a report, which switches between scales and pictures; these stay files beside its page."""
    sections = tuple(
        Section(artefact.name, f"{artefact.title}.", (_choice(artefact, folder),))
        for artefact in _there(folder)
    )
    lead = f"{len(sections)} of {len(ARTEFACTS)} artefacts were made; each picture's numbers are in a .csv of its name."
    return Report(TITLE, lead, sections, "The pictures lie beside this page: keep them together.")


def _choice(artefact: Artefact, folder: Path) -> Choice:
    views = []
    for scale, file in _captions(artefact, folder):
        for name, caption in _told(file).items():
            kind = name.removeprefix(file.stem).strip("-") or FIRST
            # the picture itself carries the caption: the page says it to those who do not see the picture
            shown = Picture(
                f"{artefact.name}, {scale} scale, {kind}", caption, "", True, _picture(folder, name).name
            )
            views.append(((scale, kind), (shown,)))
    return Choice(("scale", "picture"), tuple(views))


def linked(markdown: str, folder: Path, start: Path) -> str:
    """The text with each artefact of its tables linked to its section of the folder's page.

    ``start`` is the folder that the text will lie in. Artefacts that the page does not show stay plain names.
    """
    if not (folder / INDEX).is_file():
        return markdown
    there = {artefact.name for artefact in _there(folder)}
    target = Path(os.path.relpath(folder / INDEX, start)).as_posix()

    def links(names: re.Match[str]) -> str:
        return " ".join(
            f"[{name}]({target}#{name.replace(':', '').lower()})" if name in there else name
            for name in names[0].split()
        )

    return NAMES.sub(links, markdown)


def _there(folder: Path) -> list[Artefact]:
    return [artefact for artefact in ARTEFACTS.values() if any(_captions(artefact, folder))]


def _captions(artefact: Artefact, folder: Path) -> list[tuple[str, Path]]:
    files = [(scale, folder / f"{artefact.stem}-{scale}.txt") for scale in SCALES]
    return [(scale, file) for scale, file in files if file.is_file()]


def _told(file: Path) -> dict[str, str]:
    """Captions by picture, one paragraph each as `pictures.make` writes them: name, colon, caption."""
    return dict(text.split(": ", 1) for text in file.read_text(encoding="utf-8").strip().split("\n\n"))


def _section(artefact: Artefact, folder: Path, captioned: bool) -> str:
    parts = [f"## {artefact.name}", f"{artefact.title}."]
    for scale, file in _captions(artefact, folder):
        captions = _told(file)
        first, *others = (_picture(folder, name) for name in captions)
        links = [f"[{path.stem.removeprefix(file.stem).strip('-')}]({path.name})" for path in others]
        numbers = file.with_suffix(".csv")
        links += [f"[numbers]({numbers.name})"] if numbers.is_file() else []
        parts += [f"![{artefact.name}, {scale} scale]({first.name})"]
        parts += [next(iter(captions.values()))] if captioned else []
        parts += [f"Beside it: {', '.join(links)}."] if links else []
    return "\n\n".join(parts)


def _picture(folder: Path, name: str) -> Path:
    found = [path for ending in (".png", ".svg", ".pdf") if (path := folder / f"{name}{ending}").is_file()]
    return found[0] if found else folder / f"{name}.png"
