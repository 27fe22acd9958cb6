"""The papers' figures and tables by name, and ours: what each shows, its experiment file, and how it is drawn."""

import dataclasses
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

from turncoat import errors

PAPERS = ("A", "B")
OURS = "C"  # in the place of a paper: what neither measured
FOLDER = "experiments"


@dataclasses.dataclass(frozen=True, eq=False)
class Artefact:
    """One figure or table of a paper, or of ours; ``figure`` and ``choices`` are a picture's name and its own choices.

    ``states`` is what the paper says of it, in our words, if anything; ``note`` is what had to be chosen or was cut.
    """

    name: str
    title: str
    figure: str
    states: str
    note: str = ""
    choices: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    metric: str = "accuracy"

    @property
    def paper(self) -> str:
        """``A`` or ``B``, or ``C`` for ours."""
        return self.name[0]

    @property
    def stem(self) -> str:
        """The name as part of a file's name."""
        return self.name.replace(":", "-")

    @property
    def file(self) -> str:
        """The name of the experiment file."""
        return f"{self.stem}.toml"

    def text(self) -> str:
        """The experiment file."""
        return resources.files("turncoat.reproduce").joinpath(FOLDER, self.file).read_text(encoding="utf-8")


GRID = "The papers leave the grid open; 10 write accesses by 10 local budgets are our choice."
PAIRS = "Which pairs (k, b) were drawn is not stated; five are our choice."
UNTARGETED = " Untargeted alone: the targeted half is left out for its cost."
LINES = "The lines are our choice: b = 1 (k is the budget) and k = 1 (b is the budget)."
BUDGETS = "A stable step, where the papers' is unstable; fewer epochs than theirs."
ONE_AIM = " With two classes plans of both goals have one aim: they differ by where their searches set out."
ROUNDS = "A round is an epoch, a part of one, or a mini-batch; the budget of a round is the same share."
STRIKE = "planned:last aims at the parameters after the last round, planned at the last 10 % of the rounds."
WORKERS = "Workers and budget are not stated; 10 workers, 1 or 2 of them hostile, b = 1, are our choice."


def _epochs(
    paper: str, first: int, goal: str, budgets: Iterable[float], states: str = "", note: str = PAIRS
) -> list[Artefact]:
    return [
        Artefact(
            f"{paper}:fig{number}",
            f"Accuracy over epochs at k·b = {budget:g}, {goal}",
            "epochs",
            states,
            note,
            {"budgets": [budget]},
        )
        for number, budget in enumerate(budgets, first)
    ]


_AVAILABILITY = "Write access to less than 25 % of the data and a weak budget keep the model at random level."
_WIDE = "The greater k, the stronger the attack; at small k, b has no effect."
_DIFFERENCE = "Little difference up to k = 0.2; beyond, untargeted harms more, on the order of 0.2."
_SPREAD = "Little spread up to k = 0.1; beyond, it grows fast."
_CARRIES = "The attack carries over; wide write access harms more than a large local budget."
_EIGHT = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)
_OPEN = PAIRS + " Which data it shows is not stated either; MNIST 0/1, as in paper A, is our choice."
_ALL = (
    Artefact(
        "A:fig6", "Accuracy over write access and local budget, untargeted", "heatmap", _AVAILABILITY, GRID
    ),
    Artefact(
        "A:fig7", "Accuracy over write access and local budget, targeted", "heatmap", _AVAILABILITY, GRID
    ),
    Artefact("A:fig8", "Untargeted minus targeted accuracy", "difference", _DIFFERENCE, GRID),
    Artefact("A:fig9", "Standard deviation over seeds by write access, b = 1", "spread", _SPREAD),
    *_epochs("A", 10, "untargeted", _EIGHT),
    *_epochs("A", 18, "targeted", _EIGHT),
    Artefact(
        "B:fig5",
        "Accuracy over the global budget, MNIST 0/1, both goals",
        "budget",
        "A global budget of 0.1 % costs about 6 points; 25 % brings the model to random level.",
        "Write accesses and budgets are our choice.",
    ),
    Artefact("B:fig6", "Standard deviation over seeds by write access, b = 1", "spread", _SPREAD),
    Artefact("B:fig7", "Untargeted minus targeted accuracy", "difference", _DIFFERENCE, GRID),
    Artefact("B:fig8", "Accuracy over write access and local budget, untargeted", "heatmap", _WIDE, GRID),
    Artefact(
        "B:fig9",
        "Accuracy over the global budget, MNIST, both goals",
        "budget",
        "A global budget of 5 % costs 10 to 19 points.",
        LINES,
    ),
    Artefact(
        "B:fig10",
        "Standard deviation over seeds by global budget, MNIST, b = 1",
        "spread",
        "About 0.1, five times that of two classes; untargeted varies more than targeted.",
    ),
    Artefact("B:fig12", "Accuracy over the global budget, MNIST, MLP", "budget", _CARRIES, LINES),
    Artefact("B:fig13", "Accuracy over the global budget, CIFAR-10, logistic", "budget", _CARRIES, LINES),
    Artefact(
        "B:fig14", "Accuracy over the global budget, CIFAR-10, MLP", "budget", _CARRIES, LINES + UNTARGETED
    ),
    Artefact(
        "B:fig15",
        "Accuracy over the global budget, CIFAR-100, logistic",
        "budget",
        _CARRIES,
        LINES + UNTARGETED,
    ),
    Artefact(
        "B:fig16", "Accuracy over the global budget, CIFAR-100, MLP", "budget", _CARRIES, LINES + UNTARGETED
    ),
    Artefact(
        "B:fig17",
        "Accuracy over the global budget, CIFAR-10, Vision Transformer, untargeted",
        "budget",
        _CARRIES,
        LINES + " The transformer's size is not stated; width 64, 2 layers and 4 heads are our choice.",
    ),
    Artefact(
        "B:fig18",
        "Macro F1 over the global budget with early stopping, MNIST",
        "budget",
        "F1 falls as the accuracy does.",
        LINES + " Patience is not stated; 10 epochs on a held-out tenth are our choice.",
        metric="macro_f1",
    ),
    Artefact(
        "B:fig19",
        "Accuracy over the global budget with Adam, MNIST",
        "budget",
        "The attack is more effective with Adam than with SGD.",
        LINES,
    ),
    *_epochs(
        "B",
        20,
        "untargeted",
        (0.001, *_EIGHT[1:]),
        "The accuracy stays low after long training: the attack is no mere slowdown.",
        _OPEN,
    ),
    Artefact(
        "B:table3",
        "Norm of hostile over norm of honest gradients, normalised features",
        "ratios",
        "1.028 (MNIST, logistic), 1.019 (MNIST, MLP), 1.005 (CIFAR-10, logistic), 1.000 (CIFAR-10, MLP).",
        WORKERS,
    ),
    Artefact(
        "B:table4",
        "Norm of hostile over norm of honest gradients, features as they are",
        "ratios",
        "7.31 (MNIST, logistic), 232 (MNIST, MLP), 1.32 (CIFAR-10, logistic), 1.33 (CIFAR-10, MLP).",
        WORKERS,
    ),
    *(
        Artefact(f"{OURS}:{name}", f"Accuracy under every rule, {words}", "rules", "", BUDGETS)
        for name, words in (
            ("digits", "digits"), ("mnist01", "MNIST 0/1"), ("mnist", "MNIST"), ("cifar10", "CIFAR-10"),
            ("mlp", "MNIST, MLP"),
        )
    ),
    *(
        Artefact(f"{OURS}:{name}", f"Accuracy under every rule and goal, {words}", "rules", "", BUDGETS + note)
        for name, words, note in (("goals", "MNIST 0/1", ONE_AIM), ("goals_digits", "digits", ""))
    ),
    *(
        Artefact(f"{OURS}:{kind}{ending}", f"{title}, {words}", "rules", "", note)
        for kind, title, note in (
            ("rounds", "Accuracy by how often the attack decides", ROUNDS),
            ("strike", "Accuracy after a strike in the last rounds", STRIKE),
        )
        for ending, words in (("", "MNIST"), ("_digits", "digits"))
    ),
)  # fmt: skip
ARTEFACTS: dict[str, Artefact] = {artefact.name: artefact for artefact in _ALL}


def chosen(names: Iterable[str]) -> list[Artefact]:
    """The artefacts of these names; ``A``, ``B``, ``C`` (ours) and ``all`` stand for many.

    Raises:
        TurncoatError: for an unknown name, or none at all.
    """
    found: dict[str, Artefact] = {}
    for name in names:
        if name in (*PAPERS, OURS) or name == "all":
            found |= {n: a for n, a in ARTEFACTS.items() if name in (a.paper, "all")}
        else:
            errors.choose(name, (*ARTEFACTS, *PAPERS, OURS, "all"), "artefact")
            found[name] = ARTEFACTS[name]
    if not found:
        raise errors.TurncoatError(
            "which artefacts? type names such as B:fig8, or A, B, C or all; turncoat reproduce --list shows them"
        )
    return list(found.values())
