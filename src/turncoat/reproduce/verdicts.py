"""Verdicts on the claims: one for each scale and statistic, one over all of them, and what they rest on, as tables."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence, Set

import pandas as pd

from turncoat.analysis.skill import NO_SKILL, lacks_skill
from turncoat.precision import FLOAT32
from turncoat.reproduce.claims import CLAIMS, Claim
from turncoat.reproduce.evidence import SETTING, Evidence
from turncoat.reproduce.judging import Finding, Verdict, joint
from turncoat.reproduce.measures import FEW
from turncoat.sweep.cells import COLUMNS
from turncoat.training.stability import UNSTABLE_STEP

FEW_SEEDS = "few-seeds"


@dataclasses.dataclass(frozen=True)
class Share:
    """The runs that an artefact wants in one scale, by key, and how much their training was cut, in words."""

    keys: Set[str]
    cut: str = ""


Plans = Mapping[str, Mapping[str, Share]]


@dataclasses.dataclass(frozen=True)
class Judged:
    """What was found of a claim in one scale by one statistic, from the artefacts that have that scale.

    ``train`` is the command for the runs that lack.
    """

    claim: Claim
    scale: str
    statistic: str
    finding: Finding | None
    artefacts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    cut: str = ""
    runs: str = ""
    train: str = ""

    @property
    def verdict(self) -> Verdict:
        """The verdict, which is unknown where the runs it needs are absent."""
        return self.finding.verdict if self.finding else Verdict.UNKNOWN


def judged(evidence: Evidence, plans: Plans, options: str) -> list[Judged]:
    """Every claim in every scale by each of its statistics.

    ``plans`` has the runs that each artefact wants in each scale; ``options`` are those of the command
    line that trains what is missing.
    """
    there, unskilled = set(evidence.points["key"]), _unskilled(evidence.points)
    found = []
    for claim in CLAIMS:
        for scale in dict.fromkeys(scale for plan in plans.values() for scale in plan):
            names = [name for name in claim.artefacts if scale in plans[name]]
            wanted = {key for name in names for key in plans[name][scale].keys}
            cuts = {name: plans[name][scale].cut for name in names if plans[name][scale].keys & there}
            command = f"turncoat reproduce {' '.join(names)} --scale {scale}{options}"
            points = evidence.points[evidence.points["key"].isin(wanted)]
            for statistic in claim.statistics:
                finding = claim.judge(points, statistic) if len(points) else None
                found.append(
                    Judged(
                        claim,
                        scale,
                        statistic,
                        finding,
                        tuple(names),
                        _warnings(finding, points, unskilled),
                        "; ".join(f"{name} {cut}" for name, cut in cuts.items() if cut),
                        f"{len(wanted & there)} of {len(wanted)}",
                        "" if wanted <= there else command,
                    )
                )
    return found


def _unskilled(points: pd.DataFrame) -> set[str]:
    """The keys of clean runs in settings whose clean model learned nothing."""
    clean = points[points["write_access"] == 0]
    setting = [name for name in SETTING if name != "seed" and name in points]
    groups = [group for _, group in clean.groupby(setting, dropna=False)]
    blind = [g for g in groups if lacks_skill(g["accuracy.tail"], float(g["chance"].iloc[0]))]
    return {str(key) for group in blind for key in group["key"]}


def _warnings(found: Finding | None, points: pd.DataFrame, unskilled: Set[str]) -> tuple[str, ...]:
    """Named warnings on the runs of the claim's artefacts, their precision among them, and on seeds that are few."""
    if found is None:
        return ()
    steps = points["step_stability"].dropna()
    raised = {
        f"{UNSTABLE_STEP} ({steps.max():.3g})": len(steps) > 0 and steps.max() > 1,
        NO_SKILL: bool(points["key"].isin(unskilled).any()),
        FEW_SEEDS: found.seeds < FEW,
    }
    raised |= dict.fromkeys(_lower(points), True)
    return tuple(name for name, here in raised.items() if here)


def _lower(runs: pd.DataFrame) -> list[str]:
    """The precisions of runs, but for the usual one."""
    return (
        [str(name) for name in runs["precision"].unique() if name != FLOAT32] if "precision" in runs else []
    )


def details(rows: Iterable[Judged]) -> pd.DataFrame:
    """One row per claim, scale and statistic: the figure, its interval, random flips, seeds, runs and verdict."""
    return pd.DataFrame([_flat(row) for row in rows])


def _flat(row: Judged) -> dict[str, object]:
    shown = row.finding.shown if row.finding else None
    figure, beside = (shown.figure, shown.random) if shown else (None, None)
    parts = row.finding.parts if row.finding else ()
    return {
        "claim": row.claim.number,
        "text": row.claim.text,
        "paper": row.claim.paper,
        "scale": row.scale,
        "statistic": row.statistic,
        "figure": figure.mean if figure else None,
        "low": figure.low if figure else None,
        "high": figure.high if figure else None,
        "random": beside.mean if beside else None,
        "unit": shown.unit.name if shown else "",
        "seeds": row.finding.seeds if row.finding else 0,
        "measured": "; ".join(
            f"{part.name + ': ' if part.name else ''}{part.unit.text(part.figure)}" for part in parts
        ),
        "verdict": str(row.verdict),
        "holds": "; ".join(part.name for part in parts if part.holds),
        "undecided": "; ".join(part.name for part in parts if part.holds is None),
        "rule": row.claim.rule,
        "artefacts": " ".join(row.claim.artefacts),
        "warnings": " ".join(row.warnings),
        "cut": row.cut,
        "runs": row.runs,
        "train": row.train,
    }


def by_claim(rows: Iterable[Judged]) -> list[list[Judged]]:
    """What was found of each claim, the paper's setting (raw, last 10 % of epochs) first."""
    found: dict[int, list[Judged]] = {}
    for row in rows:
        found.setdefault(row.claim.number, []).append(row)
    return list(found.values())


def overall(rows: Sequence[Judged]) -> Verdict:
    """One verdict on a claim from those of all scales and statistics."""
    return joint(row.verdict for row in rows)


def leading(rows: Sequence[Judged]) -> Judged:
    """The scale and statistic whose figure stands for a claim: the first that was measured."""
    return next((row for row in rows if row.finding), rows[0])


def coverage(evidence: Evidence, plans: Plans) -> pd.DataFrame:
    """One row per artefact and scale: how much of it was run, on how many seeds, how short, and by which command."""
    rows = []
    for name, scales in plans.items():
        for scale, share in scales.items():
            own = evidence.points[evidence.points["key"].isin(share.keys)]
            here, wanted = len(own), len(share.keys)
            runs = f"{here / wanted:.0%}" + (
                f" ({here:,} of {wanted:,})" if here < wanted else f" ({here:,})"
            )
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
    numbers = "".join(f" --precision {one}" for one in _lower(runs))
    return f"turncoat reproduce {name} --scale {scale} --seeds {seeds} --epochs {epochs}{numbers}"
