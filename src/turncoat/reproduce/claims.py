"""The papers' claims, one verdict each, computed from what was measured by rules that stand beside them."""

import dataclasses
from collections.abc import Callable

import pandas as pd

from turncoat.reproduce import rules_harm, rules_shape
from turncoat.reproduce.evidence import STATISTICS
from turncoat.reproduce.measures import Finding

Rule = Callable[[pd.DataFrame, str], Finding | None]


@dataclasses.dataclass(frozen=True)
class Claim:
    """``paper`` is the paper's figure, ``rule`` says in words what ``judge`` computes."""

    number: int
    text: str
    paper: str
    rule: str
    judge: Rule
    artefacts: tuple[str, ...]
    statistics: tuple[str, ...] = STATISTICS


CLAIMS = (
    Claim(
        1,
        "A global budget of 0.1 % costs about 6 points (MNIST 0/1)",
        "about 6 points",
        "Mean harm over all measured cells with k·b = 0.1 %, both goals: from 3 to 9 points; undecided if its interval"
        " is wider than that, or the mean lies outside and the interval does not",
        rules_harm.tenth_percent,
        ("B:fig5", "B:fig20"),
    ),
    Claim(
        2,
        "A global budget of 25 % brings the model to random level (MNIST 0/1)",
        "random level",
        "Every measured pair with k·b = 25 %, both goals: the accuracy is surely less than 5 points above the majority"
        " class; undecided if it is surely neither less nor more",
        rules_harm.random_level,
        ("B:fig5", "B:fig24", "A:fig14", "A:fig22"),
    ),
    Claim(
        3,
        "A global budget of 5 % costs 10 to 19 points (MNIST)",
        "10 to 19 points",
        "Every measured cell with k·b = 5 %, both goals: mean harm is from 10 to 19 points; undecided if its interval"
        " is wider than that, or the mean lies outside and the interval does not",
        rules_harm.five_percent,
        ("B:fig9",),
    ),
    Claim(
        4,
        "At equal k·b, wider write access harms more than a larger local budget; at small k, b hardly matters",
        "stated from the heat map",
        "Untargeted, per data set and model: of the pairs of equal k·b that surely differ, by 1 point or more, wider"
        " access wins 80 % or more, and these are more than 5 % of all pairs (it fails if it surely loses more than 5 %"
        " of all, and is undecided otherwise); and up to k = 0.2 no b changes mean harm by 5 points or more against b ="
        " 1 (it fails if more than 5 % of the cells surely do)",
        rules_shape.access_over_budget,
        ("B:fig8", "B:fig5", "B:fig9", *(f"B:fig{n}" for n in range(12, 18))),
    ),
    Claim(
        5,
        "Harm grows monotonically in k and in b",
        "stated from the heat map",
        "MNIST 0/1, untargeted: a fall of harm by 1 point is excluded in 95 % or more of the steps between neighbouring"
        " cells; it fails if harm surely falls, and by 1 point or more, in more than 5 % of them; undecided otherwise",
        rules_shape.monotone,
        ("B:fig8",),
    ),
    Claim(
        6,
        "Untargeted harms at least as much as targeted from k = 0.2 on; below, they differ little",
        "difference on the order of 0.2",
        "MNIST 0/1: from k = 0.2 on, untargeted minus targeted accuracy is surely less than 1 point on average, and"
        " surely above 0, by 1 point or more, in at most 5 % of the cells (it fails if the average is surely more than"
        " 1 point, or more of the cells); k·b below half and from half on apart, since there the target itself is wrong"
        " everywhere. Below k = 0.2, no cell's mean differs by 2 points or more (it fails if more than 5 % of the cells"
        " surely do)",
        rules_shape.goals,
        ("A:fig8", "B:fig7"),
    ),
    Claim(
        7,
        "The standard deviation over seeds is about 0.02 with 2 classes and 0.1 with 10, grows beyond k = 0.1, and is"
        " larger untargeted than targeted",
        "0.02 and 0.1",
        "At b = 1, mean over k of the std: from 0.01 to 0.04 (2 classes), 0.05 to 0.2 (10); beyond k = 0.1 surely more"
        " than twice that up to there, and 0.005 or more; untargeted minus targeted surely above 0 (it fails if surely"
        " below 0.005). Undecided with fewer than 5 seeds",
        rules_shape.spread,
        ("B:fig6", "B:fig10"),
    ),
    Claim(
        8,
        "The attack harms more with Adam than with SGD (MNIST)",
        "stated from the figures",
        "Harm with Adam minus harm with SGD at the same k, b and seed: surely above 0 on average over the cells, and"
        " surely below 0 in none; if in some, only the cells where it is surely above 0. It fails if the average is"
        " surely less than 1 point; undecided otherwise",
        rules_harm.adam,
        ("B:fig19", "B:fig9"),
    ),
    Claim(
        9,
        "The hostile gradient norm is 1.00 to 1.03 times the honest one on normalised features; on raw ones 7.3 and 232"
        " times (MNIST, logistic and MLP), 1.32 and 1.33 times (CIFAR-10)",
        "1.00 to 1.03; 7.3, 232, 1.32, 1.33",
        "One hostile worker of ten, both readings of the ratio apart. Normalised: from 0.95 to 1.05; raw: surely above"
        " 1, and within a factor of 1.5 of the paper's; undecided where the interval is wider than that, or reaches in",
        rules_shape.norm_ratio,
        ("B:table3", "B:table4"),
        ("rounds",),
    ),
    Claim(
        10,
        "The attack carries over to MLP, Vision Transformer, CIFAR-10 and CIFAR-100",
        "stated from the figures",
        "At the largest measured budget, untargeted: mean harm of 1 point or more, surely above 0; it fails if surely"
        " below 1 point; undecided otherwise, or if not measured",
        rules_harm.carries_over,
        ("B:fig12", "B:fig13", "B:fig14", "B:fig15", "B:fig16", "B:fig17"),
    ),
    Claim(
        11,
        "Macro F1 falls as the accuracy does (MNIST, early stopping)",
        "stated from the figure",
        "Rank correlation of mean F1 and mean accuracy over the clean run and all budgets: surely 0.9 or more; with"
        " early stopping only if it ever stopped a run",
        rules_harm.f1_follows,
        ("B:fig18",),
    ),
    Claim(
        12,
        "The optimised attack harms more than random flips of the same budget (our question)",
        "not shown",
        "`as_printed` and `optimal` apart, both goals. Of the cells in which either costs a point (of two classes those"
        " with k·b below half), paired by seed: the attack surely harms more in more than half, and surely less in at"
        " most 5 %; it fails if surely less in more, and is undecided otherwise",
        rules_harm.beats_random,
        ("B:fig5", "B:fig8", *(f"B:fig{n}" for n in (9, *range(12, 20)))),
    ),
)
