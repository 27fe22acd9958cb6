"""The papers' claims, one verdict each, computed from what was measured by rules that stand beside them."""

import dataclasses
from collections.abc import Callable

import pandas as pd

from turncoat.analysis.reached import STATISTICS
from turncoat.reproduce import rules_harm, rules_ours, rules_rivals, rules_shape, rules_spread
from turncoat.reproduce.judging import Finding

Rule = Callable[[pd.DataFrame, str], Finding | None]


@dataclasses.dataclass(frozen=True)
class Claim:
    """``short`` is ``text`` in a line, ``paper`` the paper's figure; ``rule`` says in words what ``judge`` computes.

    The pictures that decide it are those of ``artefacts``, the first one first.
    """

    number: int
    short: str
    text: str
    paper: str
    rule: str
    judge: Rule
    artefacts: tuple[str, ...]
    statistics: tuple[str, ...] = tuple(STATISTICS)


CLAIMS = (
    Claim(
        1,
        "0.1 % of labels cost 6 points (MNIST 0/1)",
        "A global budget of 0.1 % costs about 6 points (MNIST 0/1)",
        "about 6 points",
        rules_harm.TENTH_PERCENT_RULE,
        rules_harm.tenth_percent,
        ("B:fig5", "B:fig20"),
    ),
    Claim(
        2,
        "25 % of labels bring the random level (MNIST 0/1)",
        "A global budget of 25 % brings the model to random level (MNIST 0/1)",
        "random level",
        rules_harm.RANDOM_LEVEL_RULE,
        rules_harm.random_level,
        ("B:fig5", "B:fig24", "A:fig14", "A:fig22"),
    ),
    Claim(
        3,
        "5 % of labels cost 10 to 19 points (MNIST)",
        "A global budget of 5 % costs 10 to 19 points (MNIST)",
        "10 to 19 points",
        rules_harm.FIVE_PERCENT_RULE,
        rules_harm.five_percent,
        ("B:fig9",),
    ),
    Claim(
        4,
        "At equal k·b, access harms more than budget",
        "At equal k·b, wider write access harms more than a larger local budget; at small k, b hardly matters",
        "from the heat map",
        rules_shape.ACCESS_RULE,
        rules_shape.access_over_budget,
        ("B:fig8", "B:fig5", "B:fig9", *(f"B:fig{n}" for n in range(12, 18))),
    ),
    Claim(
        5,
        "Harm grows with k and with b",
        "Harm grows monotonically in k and in b",
        "from the heat map",
        rules_shape.MONOTONE_RULE,
        rules_shape.monotone,
        ("B:fig8",),
    ),
    Claim(
        6,
        "Untargeted harms as much as targeted, or more",
        "Untargeted harms at least as much as targeted from k = 0.2 on; below, they differ little",
        "on the order of 20 points",
        rules_shape.GOALS_RULE,
        rules_shape.goals,
        ("A:fig8", "B:fig7"),
    ),
    Claim(
        7,
        "Spread: 0.02 (2 classes), 0.1 (10), growing with k",
        "The standard deviation over seeds is about 0.02 with 2 classes and 0.1 with 10, grows beyond k = 0.1, and is"
        " larger untargeted than targeted",
        "0.02 and 0.1",
        rules_spread.SPREAD_RULE,
        rules_spread.spreads,
        ("B:fig6", "B:fig10"),
    ),
    Claim(
        8,
        "Adam is harmed more than SGD (MNIST)",
        "The attack harms more with Adam than with SGD (MNIST)",
        "from the figures",
        rules_harm.ADAM_RULE,
        rules_harm.adam,
        ("B:fig19", "B:fig9"),
    ),
    Claim(
        9,
        "The hostile gradient is no longer than the honest ones, but on raw pixels",
        "The hostile gradient norm is 1.00 to 1.03 times the honest one on normalised features; on raw ones 7.3 and 232"
        " times (MNIST, logistic and MLP), 1.32 and 1.33 times (CIFAR-10)",
        "1.00 to 1.03; raw 7.3, 232, 1.3",
        rules_spread.NORM_RULE,
        rules_spread.norm_ratio,
        ("B:table3", "B:table4"),
        ("rounds",),
    ),
    Claim(
        10,
        "The attack carries over to other models and data",
        "The attack carries over to MLP, Vision Transformer, CIFAR-10 and CIFAR-100",
        "from the figures",
        rules_harm.CARRIES_OVER_RULE,
        rules_harm.carries_over,
        ("B:fig12", "B:fig13", "B:fig14", "B:fig15", "B:fig16", "B:fig17"),
    ),
    Claim(
        11,
        "Macro F1 falls as accuracy does",
        "Macro F1 falls as the accuracy does (MNIST, early stopping)",
        "from the figure",
        rules_rivals.F1_RULE,
        rules_rivals.f1_follows,
        ("B:fig18",),
    ),
    Claim(
        12,
        "The attack harms more than random flips (our question)",
        "The optimised attack harms more than random flips of the same budget (our question)",
        "not shown",
        rules_rivals.BEATS_RANDOM_RULE,
        rules_rivals.beats_random,
        ("B:fig8", "B:fig5", *(f"B:fig{n}" for n in (9, *range(12, 20)))),
    ),
    Claim(
        13,
        "The per-round optimum understates the harm (our question)",
        "Flips that are optimal in each round harm less than flips planned for the whole training (our question)",
        "not asked",
        rules_ours.UNDERSTATES_RULE,
        rules_ours.understates,
        tuple(f"C:{name}" for name in ("mnist", "digits", "mnist01", "cifar10", "mlp")),
    ),
    Claim(
        14,
        "The oftener the per-round attack decides, the less it harms (ours)",
        "The oftener the attack that is optimal in each round decides, the less it harms (our question)",
        "not asked",
        rules_ours.OFTENER_RULE,
        rules_ours.oftener,
        ("C:rounds", "C:rounds_digits"),
    ),
    Claim(
        15,
        "A strike in the last rounds harms as much as an attack all along (ours)",
        "Planned flips in the last tenth of the rounds harm as much as optimal flips all along (our question)",
        "not asked",
        rules_ours.STRIKE_RULE,
        rules_ours.strike,
        ("C:strike", "C:strike_digits"),
    ),
    *(
        Claim(
            number,
            f"Claim {old} under planned flips: {short}",
            f"Claim {old}, with planned flips in the place of the papers' attack, at a stable step: {short}",
            paper,
            rule,
            rules_ours.under_plans(judge),
            artefacts,
        )
        for number, old, short, paper, rule, judge, artefacts in (
            (
                16, 1, "0.1 % of labels cost 6 points (MNIST 0/1)", "about 6 points",
                rules_harm.TENTH_PERCENT_RULE, rules_harm.tenth_percent, ("C:mnist01",),
            ),
            (
                17, 2, "25 % bring the random level (MNIST 0/1)", "random level", rules_harm.RANDOM_LEVEL_RULE,
                rules_harm.random_level, ("C:mnist01",),
            ),
            (
                18, 3, "5 % cost 10 to 19 points (MNIST)", "10 to 19 points", rules_harm.FIVE_PERCENT_RULE,
                rules_harm.five_percent, ("C:mnist",),
            ),
            (
                19, 4, "access harms more than budget", "from the heat map", rules_shape.ACCESS_RULE,
                rules_shape.access_over_budget, ("C:mnist01", "C:mnist", "C:cifar10", "C:mlp"),
            ),
            (
                20, 5, "harm grows with k and with b", "from the heat map", rules_shape.MONOTONE_RULE,
                rules_shape.monotone, ("C:mnist01",),
            ),
            (
                21, 6, "untargeted harms as much as targeted, or more", "on the order of 20 points",
                rules_ours.PLANNED_GOALS_RULE, rules_ours.planned_goals, ("C:goals", "C:goals_digits"),
            ),
        )
    ),
)  # fmt: skip
