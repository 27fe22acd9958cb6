"""Defences of ordinary training by their texts, such as ``gce:0.7+knn:10``; what they do is in ``defences``."""

import dataclasses
import math

from turncoat.errors import TurncoatError, choose

NONE = "none"


@dataclasses.dataclass(frozen=True)
class Number:
    """A number after a defence's name, its range and an example."""

    what: str
    example: str
    above: float = 0.0
    most: float = math.inf
    below: float = math.inf
    whole: bool = False
    odd: bool = False

    def read(self, text: str, part: str) -> float:
        """The number that was typed.

        Raises:
            TurncoatError: if it is none, or out of range.
        """
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        fits = self.above < value <= self.most and value < self.below
        if not fits or (self.whole and value != int(value)) or (self.odd and value % 2 == 0):
            raise TurncoatError(
                f"defence {part!r}: {self.what} must be {self.allowed}, such as {self.example}"
            )
        return value

    @property
    def allowed(self) -> str:
        """What may be typed."""
        if self.whole:
            if self.odd:
                return f"an odd number from {self.above + 2:g} to {self.most:g}"
            return f"a whole number of {self.above + 1:g} or more"
        if self.below < math.inf:
            return f"above {self.above:g} and below {self.below:g}"
        return f"above {self.above:g}" + (f" and at most {self.most:g}" if self.most < math.inf else "")


@dataclasses.dataclass(frozen=True)
class Kind:
    """A defence: what it does, what it is told, and where it acts.

    ``acts`` is "loss" (on the loss of each example), "step" (on what counts in a mini-batch), "round" (on which labels
    of a round are used), "labels" (on who can write to them), or "models" (on how many are trained).
    """

    what: str
    acts: str
    numbers: tuple[Number, ...] = ()


_GOLD = Number("the number of labels known to be right", "500", whole=True)

DEFENCES: dict[str, Kind] = {
    NONE: Kind("plain training with cross-entropy", "loss"),
    "label_smoothing": Kind(
        "each label is mixed with a share E of the uniform distribution (Szegedy et al. 2016)",
        "loss",
        (Number("the share E of the uniform distribution", "0.1", below=1.0),),
    ),
    "gce": Kind(
        "generalised cross-entropy (1 - p^Q) / Q (Zhang and Sabuncu 2018)",
        "loss",
        (Number("the power Q", "0.7", most=1.0),),
    ),
    "symmetric": Kind(
        "A times cross-entropy and B times its reverse (Wang et al. 2019)",
        "loss",
        (Number("the weight A of cross-entropy", "0.1"), Number("the weight B of its reverse", "1")),
    ),
    "mae": Kind("mean absolute error 2 (1 - p) (Ghosh, Kumar and Sastry 2017)", "loss"),
    "clip": Kind(
        "each example's gradient is cut to the norm NORM",
        "loss",
        (Number("the norm NORM", "1"),),
    ),
    "trimmed_loss": Kind(
        "the share S of largest losses in each batch is left out (Shen and Sanghavi 2019)",
        "step",
        (Number("the share S that is left out", "0.25", below=1.0),),
    ),
    "gold": Kind(
        "M labels are known to be right: rows count by how well their gradients agree with the gold rows', which are"
        " trained on too (after Ren et al. 2018)",
        "step",
        (_GOLD,),
    ),
    "gold_alone": Kind("training on M labels known to be right and on nothing else", "step", (_GOLD,)),
    "knn": Kind(
        "labels that most of the K nearest neighbours do not share are dropped",
        "round",
        (Number("the number K of neighbours", "10", whole=True),),
    ),
    "confident": Kind(
        "labels that confident learning finds wrong on out-of-fold probabilities are dropped (Northcutt, Jiang and"
        " Chuang 2021; extra turncoat[labels])",
        "round",
    ),
    "redundancy": Kind(
        "each example is labelled by R labellers, the majority counts",
        "labels",
        (Number("the number R of labellers", "3", above=1.0, most=999.0, whole=True, odd=True),),
    ),
    "partitions": Kind(
        "M models on M parts of the data vote (Levine and Feizi 2021)",
        "models",
        (Number("the number M of models", "10", above=1.0, whole=True),),
    ),
}
"""What may stand in ``Recipe(defence=...)``, chained with ``+``."""

SEEN_BY_THE_AWARE = ("step", "round")  # what only an attacker with ``aware`` looks through


@dataclasses.dataclass(frozen=True)
class Part:
    """One defence of a chain."""

    name: str
    numbers: tuple[float, ...] = ()

    @property
    def acts(self) -> str:
        """Where it acts."""
        return DEFENCES[self.name].acts

    def __str__(self) -> str:
        return ":".join([self.name, *(f"{number:.12g}" for number in self.numbers)])


def chain(text: object) -> tuple[Part, ...]:
    """The defences in a chain such as ``"gce:0.7+knn:10"``; none for ``"none"``.

    Raises:
        TurncoatError: for an unknown name, a number that is missing or out of range, or a chain that makes no sense.
    """
    if not isinstance(text, str):
        raise TurncoatError(
            f"defence is {text!r}, but must be a text, such as 'gce:0.7' or 'gold:500+knn:10'"
        )
    parts = tuple(_part(one.strip()) for one in text.split("+"))
    names = [part.name for part in parts]
    if len(parts) > 1 and NONE in names:
        raise TurncoatError(f"defence {text!r}: 'none' stands alone, leave it out of the chain")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise TurncoatError(f"defence {text!r} names {twice} twice: name each once")
    losses = [name for name in names if DEFENCES[name].acts == "loss" and name != "clip"]
    if len(losses) > 1:
        raise TurncoatError(f"defence {text!r} names two losses, {' and '.join(losses)}: a model has one")
    if "clip" in names and "label_smoothing" in names:
        raise TurncoatError(
            f"defence {text!r}: clip cuts the gradients of hard labels; leave label_smoothing out, or clip"
        )
    if "gold" in names and "gold_alone" in names:
        raise TurncoatError(
            f"defence {text!r} uses its gold labels in two ways: leave gold or gold_alone out"
        )
    if "partitions" in names and {"gold", "gold_alone"} & set(names):
        raise TurncoatError(
            f"defence {text!r}: every one of the models would need gold labels of its own; leave gold or partitions out"
        )
    return tuple(part for part in parts if part.name != NONE)


def guards(text: str) -> bool:
    """Whether a chain looks at labels in a way that only an attacker with ``aware`` looks through."""
    return any(part.acts in SEEN_BY_THE_AWARE for part in chain(text))


def number(parts: tuple[Part, ...], name: str) -> float | None:
    """The first number of a defence, if the chain has it."""
    return next((part.numbers[0] for part in parts if part.name == name), None)


def written(parts: tuple[Part, ...]) -> str:
    """The chain as one would type it: the same for ``gce:.7`` and ``gce:0.70``."""
    return "+".join(map(str, parts)) or NONE


def refuse(text: str, federated: bool, schedule: str, patience: int) -> None:
    """Accept a defence with what surrounds it.

    Raises:
        TurncoatError: for a defence of pooled training in a federation, or one that the schedule leaves no turn.
    """
    parts = chain(text)
    pooled = [part.name for part in parts if part.acts != "loss" or part.name == "clip"]
    if federated and pooled:
        raise TurncoatError(
            f"defence {pooled[0]!r} is one of a server that holds the data: with workers set an aggregator, or a loss"
            " such as defence 'gce:0.7'"
        )
    rounds = [part.name for part in parts if part.acts == "round"]
    if schedule == "step" and rounds:
        raise TurncoatError(
            f"defence {rounds[0]!r} looks at a round's labels, and with schedule 'step' a round is one mini-batch: set"
            " schedule to 'epoch' or 'once'"
        )
    if patience and any(part.name == "partitions" for part in parts):
        raise TurncoatError("defence 'partitions' trains its models for all epochs: leave patience out")


def access(text: str, write_access: float) -> float:
    """The chance that most of an example's labellers are hostile, of whom a share of ``write_access`` is.

    Without ``redundancy`` an example has one labeller, and this is the write access itself.
    """
    labellers = number(chain(text), "redundancy")
    if labellers is None:
        return write_access
    count, k = int(labellers), write_access
    most = range(count // 2 + 1, count + 1)
    return min(1.0, sum(math.comb(count, i) * k**i * (1 - k) ** (count - i) for i in most))


def _part(text: str) -> Part:
    name, *given = text.split(":")
    choose(name, list(DEFENCES), "defence")
    kind = DEFENCES[name]
    if len(given) != len(kind.numbers):
        example = ":".join([name, *(one.example for one in kind.numbers)])
        takes = (
            "no number" if not kind.numbers else f"{len(kind.numbers)} number{'s' * (len(kind.numbers) > 1)}"
        )
        raise TurncoatError(f"defence {text!r}: {name} takes {takes}, type {example!r}")
    return Part(name, tuple(one.read(typed, text) for one, typed in zip(kind.numbers, given, strict=True)))
