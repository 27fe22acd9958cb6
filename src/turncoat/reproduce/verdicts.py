"""Verdicts on the claims: one for each scale and statistic, and one over all of them, as tables."""

import dataclasses
from collections.abc import Mapping, Set
from typing import Any

import pandas as pd

from turncoat.reproduce.claims import CLAIMS, Claim
from turncoat.reproduce.evidence import Evidence
from turncoat.reproduce.measures import (
    FAILS,
    FEW,
    HOLDS,
    HOLDS_FOR,
    ONLY_IF,
    UNDECIDED,
    UNKNOWN,
    Finding,
)
from turncoat.sweep.cells import COLUMNS
from turncoat.training.stability import UNSTABLE_STEP

SPOKEN = {"tail": "last 10 % of epochs", "last": "last epoch", "rounds": "rounds looked at"}
SURELY = (
    "Brackets are 95 % intervals over seeds: bootstrap ones, as in every table, and for spreads and correlations"
    " those of the jackknife. With fewer than 5 seeds a bootstrap interval is too short to decide by. So *surely*"
    " means: Student's 95 % interval of the mean over seeds, paired where two runs are compared, leaves out the other"
    " case. It takes two seeds. What seeds are too few for is undecided. Unless a rule says otherwise, the attack is"
    " the papers' printed rule (`as_printed`) on pooled data, trained with SGD and without early stopping; random"
    " flips spend the same budget on the same write access. *Holds only if* names the parts that hold where others do"
    " not; *holds for* those that hold while the others are undecided."
)
INTRODUCTION = (
    "Each claim of the two papers with what was measured for it, once for all scales and once for each. `raw` are"
    " pixels from 0 to 255, the papers' main setting, `unit` those divided by 255, `standard` features standardised"
    " one by one. The verdicts follow from the runs by [stated rules](#rules); [what was run](#what-was-run), and what"
    " that leaves out, stands at the end."
)


@dataclasses.dataclass(frozen=True)
class Share:
    """The runs that an artefact wants in one scale, by key, and how much their training was cut, in words."""

    keys: Set[str]
    cut: str = ""


Plans = Mapping[str, Mapping[str, Share]]


def details(evidence: Evidence, plans: Plans, options: str) -> pd.DataFrame:
    """One row per claim, scale and statistic: the figure, its interval, seeds, runs and verdict.

    ``plans`` has the runs that each artefact wants in each scale; ``options`` are those of the command
    line that trains what is missing.
    """
    there = set(evidence.points["key"])
    rows = []
    for claim in CLAIMS:
        for scale in dict.fromkeys(scale for plan in plans.values() for scale in plan):
            names = [name for name in claim.artefacts if scale in plans[name]]
            wanted = {key for name in names for key in plans[name][scale].keys}
            cuts = {name: plans[name][scale].cut for name in names if plans[name][scale].keys & there}
            command = f"turncoat reproduce {' '.join(names)} --scale {scale}{options}"
            points = evidence.points[evidence.points["key"].isin(wanted)]
            runs = f"{len(wanted & there)} of {len(wanted)}"
            for statistic in claim.statistics:
                found = claim.judge(points, statistic) if len(points) else None
                row = _row(claim, scale, statistic, found) | {"warnings": _warnings(found, points)}
                row |= {"cut": "; ".join(f"{name} {cut}" for name, cut in cuts.items() if cut)}
                rows.append(row | {"runs": runs, "train": "" if wanted <= there else command})
    return pd.DataFrame(rows)


def _row(claim: Claim, scale: str, statistic: str, found: Finding | None) -> dict[str, object]:
    estimate = found.estimate if found else None
    return {
        "claim": claim.number,
        "text": claim.text,
        "paper": claim.paper,
        "scale": scale,
        "statistic": statistic,
        "figure": estimate.mean if estimate else None,
        "low": estimate.low if estimate else None,
        "high": estimate.high if estimate else None,
        "seeds": found.seeds if found else 0,
        "measured": found.measured if found else "",
        "verdict": found.verdict if found else UNKNOWN,
        "rule": claim.rule,
        "artefacts": " ".join(claim.artefacts),
    }


def _warnings(found: Finding | None, points: pd.DataFrame) -> str:
    """Named warnings: a step too long in a run of the claim's artefacts, or fewer seeds than an interval needs."""
    if found is None:
        return ""
    steps = points["step_stability"].dropna()
    unstable = f"{UNSTABLE_STEP} ({steps.max():.3g})" if len(steps) and steps.max() > 1 else ""
    return " ".join(text for text in (unstable, "few-seeds" if found.seeds < FEW else "") if text)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row per claim: the paper's setting (raw, last 10 % of epochs) and the verdict over all scales."""
    rows = []
    for number, group in table.groupby("claim"):
        known = group[group["verdict"] != UNKNOWN]
        shown = (known if len(known) else group).iloc[0]
        rows.append(
            {
                "claim": number,
                "text": shown["text"],
                "paper": shown["paper"],
                "measured": _shown(shown),
                "seeds": shown["seeds"],
                "verdict": overall(group),
                "artefacts": shown["artefacts"],
            }
        )
    return pd.DataFrame(rows)


def _shown(row: "pd.Series[Any]") -> str:
    if row["verdict"] == UNKNOWN:
        return f"train it with: {row['train']}"
    cut = f" ({row['cut']})" if row["cut"] else ""
    return f"{row['scale']}, {SPOKEN[str(row['statistic'])]}: {row['measured']}{cut}"


def overall(group: pd.DataFrame) -> str:
    """One verdict from those of all scales and statistics."""
    known = group[group["verdict"] != UNKNOWN]
    if known.empty:
        return UNKNOWN
    absent = sorted(set(group["scale"]) - set(known["scale"]))
    tail = f" ({', '.join(absent)} not measured)" if absent else ""
    for verdict in (HOLDS, FAILS, UNDECIDED):
        if (known["verdict"] == verdict).all():
            return verdict + tail
    places = _places(known)
    unsure = [place for place, verdict in places if verdict == UNDECIDED]
    told = f"; {UNDECIDED}: {', '.join(unsure)}" if unsure else ""
    good = [_with_parts(place, verdict) for place, verdict in places if verdict.startswith(HOLDS)]
    bad = [place for place, verdict in places if verdict == FAILS]
    if not good:
        return f"{FAILS} ({', '.join(bad)}{told}){tail}"
    limited = bad or any(verdict.startswith(ONLY_IF) for _, verdict in places)
    return f"{ONLY_IF if limited else HOLDS_FOR} {'; '.join(good)}{told}{tail}"


def _places(known: pd.DataFrame) -> list[tuple[str, str]]:
    """The verdict of each scale; both statistics are named only where they differ."""
    found = []
    for scale, rows in known.groupby("scale", sort=False):
        verdicts = dict(zip(rows["statistic"], rows["verdict"], strict=True))
        if len(set(verdicts.values())) == 1:
            verdicts = {"": next(iter(verdicts.values()))}
        for statistic, verdict in verdicts.items():
            found.append((f"{scale} scale" + (f", {SPOKEN[str(statistic)]}" if statistic else ""), verdict))
    return found


def _with_parts(place: str, verdict: str) -> str:
    """A place where a claim holds, with the parts of it that do."""
    for words in (ONLY_IF, HOLDS_FOR, HOLDS):
        if verdict.startswith(words):
            inner = verdict.removeprefix(words).strip()
            return f"{place} ({inner})" if inner else place
    return place


def coverage(evidence: Evidence, plans: Plans) -> pd.DataFrame:
    """One row per artefact and scale: how much of it was run, on how many seeds, how short, and by which command."""
    rows = []
    for name, scales in plans.items():
        for scale, share in scales.items():
            own = evidence.points[evidence.points["key"].isin(share.keys)]
            runs = f"{len(own)} of {len(share.keys)}"
            row = {"artefact": name, "scale": scale, "runs": runs, "seeds": _seeds(own), "cut": share.cut}
            rows.append(row | {"command": _command(name, scale, own)})
    return pd.DataFrame(rows)


def _seeds(runs: pd.DataFrame) -> str:
    """Seeds per attacked cell; the fewest and the most where they differ."""
    cell = [name for name in COLUMNS if name != "seed" and name in runs]
    counts = runs[runs["write_access"] > 0].groupby(cell, dropna=False)["seed"].nunique()
    if counts.empty:
        return "0"
    return str(counts.max()) if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"


def _command(name: str, scale: str, runs: pd.DataFrame) -> str:
    """What trains just these runs; empty without any."""
    if runs.empty:
        return ""
    seeds, epochs = runs["seed"].nunique(), int(runs["epochs"].max())
    return f"turncoat reproduce {name} --scale {scale} --seeds {seeds} --epochs {epochs}"


def markdown(table: pd.DataFrame, runs: pd.DataFrame, origins: list[dict[str, object]]) -> str:
    """All tables, the rules and what computed the runs, as Markdown."""
    lines = ["# Verdicts on the claims", "", INTRODUCTION, ""]
    lines += _rows(summary(table), {"claim": "#", "text": "claim"})
    lines += ["", "## Rules", "", SURELY, "", *(f"{claim.number}. {claim.rule}." for claim in CLAIMS)]
    spoken = table.assign(statistic=table["statistic"].map(SPOKEN))
    names = ["claim", "scale", "statistic", "measured", "seeds", "runs", "cut", "verdict", "warnings"]
    lines += ["", "## In each scale", "", *_rows(spoken[names], {"claim": "#"})]
    lines += ["", "## What was run", "", *_rows(runs), ""]
    if origins:
        lines += ["## Computed by", "", *(f"- {_origin(origin)}" for origin in origins), ""]
    return "\n".join(lines)


def _rows(table: pd.DataFrame, spoken: Mapping[str, str] = {}) -> list[str]:
    """A table as lines of Markdown; ``spoken`` renames columns."""
    heads = [spoken.get(name, name) for name in table.columns]
    rows = [[_escaped(value) for value in row] for row in table.itertuples(index=False)]
    return ["| " + " | ".join(cells) + " |" for cells in (heads, ["---"] * len(heads), *rows)]


def _escaped(value: object) -> str:
    return str(value).replace("|", "\\|")


def _origin(origin: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in origin.items())
