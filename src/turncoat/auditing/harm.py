"""Section 2: how much harm."""

from turncoat.analysis.estimate import Estimate, estimate
from turncoat.auditing.attacks import CARELESS, Outcomes, grid, named, strongest, tried
from turncoat.auditing.pictures import Line, lines
from turncoat.auditing.setting import NARROW, Setting
from turncoat.report.report import Block, Cell, Choice, Column, Section, Table, Text
from turncoat.threat import CLEAN, Threat
from turncoat.words import opening

MEASURES = {"accuracy": "accuracy", "macro_f1": "macro F1"}
COSTS = (0.01, 0.05, 0.1)
ACCESS = {1.0: "all rows", NARROW: f"{NARROW:.0%} of the rows"}


def how_much_harm(setting: Setting, outcomes: Outcomes) -> Section:
    """Accuracy over the share of wrong labels, per attack and write access, and what costs 1, 5 and 10 points."""
    worst, harm = most_harm(setting, outcomes)
    share, name = worst.global_budget, named(setting, worst)
    random = estimate(outcomes.harm(CARELESS.threat(worst.write_access, share)))
    lead = (
        f"With {share:.0%} of all labels wrong ({name}) the model loses {100 * harm.mean:.1f} points of accuracy; as"
        f" many careless labels cost {100 * random.mean:.1f}."
    )
    views: list[tuple[tuple[str, ...], tuple[Block, ...]]] = []
    for access, who in ACCESS.items():
        for measure, measured in MEASURES.items():
            drawn = [
                line
                for attack in tried(setting)
                if (line := _line(setting, outcomes, attack.name, access, measure)).shares
            ]
            if drawn:
                clean = estimate(getattr(one, measure) for one in outcomes.of(CLEAN)).mean
                level, level_name = (
                    (setting.chance, "always guessing") if measure == "accuracy" else (clean, "clean")
                )
                caption = f"{opening(measured)} over the share of wrong labels; write access to {who}."
                views.append(((who, measured), (lines(drawn, level, level_name, measured, caption),)))
    told = Text(" ".join(f"{opening(attack.name)}: {attack.told}." for attack in tried(setting)))
    return Section(
        "How much harm",
        lead,
        (
            Choice(("write access", "measure"), tuple(views)),
            told,
            _costs(setting, outcomes),
            _all(setting, outcomes),
        ),
    )


def most_harm(setting: Setting, outcomes: Outcomes) -> tuple[Threat, Estimate]:
    """The strongest threat by the training rows, and its harm."""
    threat = strongest(outcomes, [own for *_, own in grid(setting)])
    return threat, estimate(outcomes.harm(threat))


def _line(setting: Setting, outcomes: Outcomes, name: str, access: float, measure: str) -> Line:
    own = [
        (share, threat) for attack, k, share, threat in grid(setting) if attack.name == name and k == access
    ]
    found = [estimate(getattr(one, measure) for one in outcomes.of(threat)) for _, threat in own]
    return Line(name, [share for share, _ in own], found)


def _costs(setting: Setting, outcomes: Outcomes) -> Table:
    """The smallest share tried whose harm is this much on the mean over seeds."""
    rows = []
    for access, who in ACCESS.items():
        for attack in tried(setting):
            own = [(share, t) for a, k, share, t in grid(setting) if a == attack and k == access]
            harms = [(share, estimate(outcomes.harm(threat)).mean) for share, threat in own]
            reached = [min((s for s, harm in harms if harm >= cost), default=None) for cost in COSTS]
            rows.append((f"{attack.name}, {who}", *reached))
    columns = (
        Column("attack and write access"),
        *(Column(f"costs {100 * cost:.0f} point{'s' * (cost > 0.01)}", "percent") for cost in COSTS),
    )
    return Table(
        "The smallest share of wrong labels, of those tried, that costs as much; empty where none did",
        columns,
        tuple(rows),
    )


def _all(setting: Setting, outcomes: Outcomes) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for attack, access, share, threat in grid(setting):
        found = [estimate(getattr(one, measure) for one in outcomes.of(threat)) for measure in MEASURES]
        found.append(estimate(outcomes.harm(threat)))
        cells = (one.with_interval for one in found)
        rows.append((attack.name, access, share, threat.flips(setting.dataset.n), *cells))
    columns = (
        Column("attack"), Column("write access", "percent"), Column("wrong labels", "percent"), Column("rows", "count"),
        *(Column(f"{name} [95 %]", "share") for name in MEASURES.values()), Column("harm [95 %]", "share"),
    )  # fmt: skip
    return Table("Every attack that was tried", columns, tuple(rows))
