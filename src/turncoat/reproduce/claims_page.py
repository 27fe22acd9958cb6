"""The verdicts as they are read: a table of a line a claim, then a section a claim, then what they rest on."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from turncoat.reproduce.judging import Verdict
from turncoat.reproduce.verdicts import Judged, by_claim, leading, overall

TITLE = "# Verdicts on the claims"
INTRODUCTION = (
    "Each claim of the two papers in a line: the paper's figure, ours with its 95 % interval over seeds, and what"
    " random flips of the same number do. The verdict is over all scales that were measured: *partly* where some of"
    " it holds. `raw` are pixels from 0 to 255, the papers' main setting, `unit` those divided by 255, `standard`"
    " features standardised one by one. The number leads to the claim's own section. The verdicts follow by"
    " [stated rules](#rules), and [what was run](#what-was-run), and what that leaves out, stands at the end."
)
SURELY = (
    "Brackets are Student's 95 % intervals of the mean over seeds, those of spreads and correlations the jackknife's. A"
    " difference is paired: it compares runs of the same seed. *Surely* means that its interval leaves out the other"
    " case; one seed has no interval and decides nothing. What seeds are too few for is undecided. Unless a rule says"
    " otherwise, the attack is the papers' printed rule (`as_printed`) on pooled data, trained with SGD and without"
    " early stopping; random flips spend the same budget on the same write access."
)
READINGS = {"tail": "last 10 %", "last": "last epoch", "rounds": "rounds looked at"}
SPOKEN = {"tail": "over the last 10 % of epochs", "last": "in the last epoch"}
OUTCOMES = {
    Verdict.HOLDS: "holds",
    Verdict.HOLDS_FOR: "holds in part, the rest undecided,",
    Verdict.ONLY_IF: "holds in part",
    Verdict.FAILS: "does not hold",
    Verdict.UNDECIDED: "is undecided",
    Verdict.UNKNOWN: "was not measured",
}


def first_table(rows: Iterable[Judged]) -> pd.DataFrame:
    """One row a claim: the paper's figure, ours with its interval and scale, random flips beside it, one word."""
    return pd.DataFrame([_line(group) for group in by_claim(rows)])


def _line(group: Sequence[Judged]) -> dict[str, object]:
    row = leading(group)
    ours, random = _figures(row)
    return {
        "#": row.claim.number,
        "claim": row.claim.short,
        "paper": row.claim.paper,
        "ours": f"{row.scale}: {ours}" if row.finding else str(Verdict.UNKNOWN),
        "random flips": random,
        "verdict": overall(group).word,
        "see": (row.artefacts or row.claim.artefacts)[0],
    }


def _figures(row: Judged) -> tuple[str, str]:
    """Ours, with the part that it is of where a claim has several, and that of random flips."""
    if row.finding is None:
        return "–", "–"
    shown = row.finding.shown
    of = f", {shown.name}" if shown.name else ""
    return shown.unit.text(shown.figure) + of, shown.unit.text(shown.random, interval=False)


def outcome(group: Sequence[Judged]) -> str:
    """What became of a claim in each scale, as one sentence."""
    places: dict[tuple[Verdict, str], list[str]] = {}  # a reading is named only where the other one differs
    for scale in dict.fromkeys(row.scale for row in group):
        found = {row.statistic: row.verdict for row in group if row.scale == scale}
        if len(set(found.values())) == 1:
            found = {"": next(iter(found.values()))}
        for statistic, verdict in found.items():
            places.setdefault((verdict, statistic), []).append(scale)
    told = [
        f"{OUTCOMES[verdict]} on {_listed(scales)} features {SPOKEN.get(reading, '')}".rstrip()
        for (verdict, reading), scales in places.items()
    ]
    return f"{group[0].claim.text}: this {'; it '.join(told)}."


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def readings(group: Sequence[Judged]) -> pd.DataFrame:
    """One row a scale and reading: our figure, that of random flips, the verdict, seeds and warnings."""
    found = []
    for row in group:
        ours, random = _figures(row)
        found.append(
            {
                "scale": row.scale,
                "reading": READINGS[row.statistic],
                "ours": ours,
                "random flips": random,
                "verdict": row.verdict.word,
                "seeds": row.finding.seeds if row.finding else "",
                "warnings": ", ".join(row.warnings),
            }
        )
    return pd.DataFrame(found)


def parts(group: Sequence[Judged]) -> pd.DataFrame:
    """One row a part, scale and reading: as ``readings``, and what exactly the figure is."""
    found = []
    for row in group:
        for part in row.finding.parts if row.finding else ():
            found.append(
                {
                    "part": part.name or "all",
                    "scale": row.scale,
                    "reading": READINGS[row.statistic],
                    "ours": part.unit.text(part.figure),
                    "random flips": part.unit.text(part.random, interval=False),
                    "verdict": part.verdict.word,
                    "seeds": part.seeds or "",
                    "what": part.note,
                }
            )
    return pd.DataFrame(found)


def markdown(
    rows: Sequence[Judged],
    runs: pd.DataFrame,
    origins: Iterable[Mapping[str, object]],
    pictures: Path | None,
    start: Path,
) -> str:
    """The whole page; pictures of the folder are shown where they lie, seen from the folder ``start``."""
    first = first_table(rows)
    first["#"] = [f"[{number}](#claim-{number})" for number in first["#"]]
    lines = [TITLE, "", INTRODUCTION, "", *as_rows(first)]
    for group in by_claim(rows):
        lines += ["", *_section(group, pictures, start)]
    rules = [f"{group[0].claim.number}. {group[0].claim.rule}." for group in by_claim(rows)]
    lines += ["", "## Rules", "", SURELY, "", *rules, "", "## What was run", "", *as_rows(runs), ""]
    if told := [", ".join(f"{name} {value}" for name, value in origin.items()) for origin in origins]:
        lines += ["## Computed by", "", *(f"- {line}" for line in told), ""]
    return "\n".join(lines)


def _section(group: Sequence[Judged], pictures: Path | None, start: Path) -> list[str]:
    claim, row = group[0].claim, leading(group)
    lines = [f"## Claim {claim.number}", "", outcome(group)]
    if row.finding is None:
        train = next((one.train for one in group if one.train), "")
        return [
            *lines,
            "",
            f"Train it with `{train}`." if train else "None of its artefacts is made in this precision.",
        ]
    lines += ["", *as_rows(readings(group))]
    if cuts := list(dict.fromkeys(f"{one.scale}: {one.cut}" for one in group if one.cut and one.finding)):
        lines += ["", f"Shorter than the papers' trainings: {'; '.join(cuts)}."]
    if picture := picture_of(group, pictures):
        path = Path(os.path.relpath(picture, start)).as_posix()
        name, scale = picture.stem.rsplit("-", 1)
        lines += ["", f"![{name.replace('-', ':', 1)}, {scale} features]({path})"]
    folded = ["<details markdown>", "<summary>Part by part</summary>", "", *as_rows(parts(group)), ""]
    return [*lines, "", *folded, "</details>"]


def picture_of(group: Sequence[Judged], pictures: Path | None) -> Path | None:
    """The picture that decides a claim, of its leading scale if the folder has it."""
    if pictures is None:
        return None
    scales = dict.fromkeys((leading(group).scale, *(row.scale for row in group if row.finding)))
    names = [name.replace(":", "-") for name in group[0].claim.artefacts]
    files = (pictures / f"{name}-{scale}.png" for scale in scales for name in names)
    return next((file for file in files if file.is_file()), None)


def as_rows(table: pd.DataFrame) -> list[str]:
    """A table as lines of Markdown."""
    rows = [[str(value).replace("|", "\\|") for value in row] for row in table.itertuples(index=False)]
    return [
        "| " + " | ".join(cells) + " |" for cells in (list(table.columns), ["---"] * table.shape[1], *rows)
    ]
