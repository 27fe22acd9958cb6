"""What a rule finds: the parts of a claim, each with its figure, and the verdict that follows from them."""

import dataclasses
import enum
from collections.abc import Iterable

from turncoat.analysis.estimate import Estimate


class Verdict(enum.StrEnum):
    """What became of a claim, or of a part of it."""

    HOLDS = "holds"
    HOLDS_FOR = "holds for"  # some parts, while the others are undecided
    ONLY_IF = "holds only if"  # some parts hold, others do not
    FAILS = "does not hold"
    UNDECIDED = "undecided"
    UNKNOWN = "not measured"

    @property
    def word(self) -> str:
        """In one word."""
        return {"HOLDS_FOR": "partly", "ONLY_IF": "partly", "FAILS": "fails", "UNKNOWN": "unmeasured"}.get(
            self.name, self.value
        )


def of_part(holds: bool | None) -> Verdict:
    """The verdict on a part that holds, does not, or cannot be told."""
    return Verdict.UNDECIDED if holds is None else Verdict.HOLDS if holds else Verdict.FAILS


def joint(verdicts: Iterable[Verdict]) -> Verdict:
    """One verdict on what has these, leaving out what was not measured."""
    found = {verdict for verdict in verdicts if verdict is not Verdict.UNKNOWN}
    if len(found) <= 1:
        return found.pop() if found else Verdict.UNKNOWN
    if not found & {Verdict.HOLDS, Verdict.HOLDS_FOR, Verdict.ONLY_IF}:
        return Verdict.FAILS
    return Verdict.ONLY_IF if found & {Verdict.FAILS, Verdict.ONLY_IF} else Verdict.HOLDS_FOR


@dataclasses.dataclass(frozen=True)
class Unit:
    """How figures of a kind are written."""

    name: str
    form: str
    factor: float = 1.0

    def text(self, found: Estimate | None, interval: bool = True) -> str:
        """A figure with its interval, or with the word that one seed has none; a dash for none."""
        if found is None or found.mean != found.mean:
            return "–"
        mean, low, high = (self._number(value) for value in (found.mean, found.low, found.high))
        if not interval:
            return mean
        ends = f" [{low}, {high}]" if found.has_interval else ""
        alone = " (1 seed)" if found.n == 1 else ""
        return f"{mean}{ends}{f' {self.name}' if self.name else ''}{alone}"

    def _number(self, value: float) -> str:
        text = f"{self.factor * value:{self.form}}"
        return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


POINTS = Unit("points", ".1f", 100.0)
PERCENT = Unit("%", ".1f", 100.0)
TIMES = Unit("times", ".3g")
SHARE = Unit("", ".3f")


@dataclasses.dataclass(frozen=True)
class Part:
    """One part of a claim: whether it holds, None where there are too few seeds to tell, and the figures it rests on.

    ``figure`` is ours, ``random`` the same of random flips of the same budget, where that means something.
    """

    name: str
    holds: bool | None
    figure: Estimate | None = None
    random: Estimate | None = None
    unit: Unit = POINTS
    seeds: int = 0
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """The verdict on this part alone."""
        return of_part(self.holds)


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a rule found in one scale; the first figure of its parts stands for it unless it has one of its own."""

    parts: tuple[Part, ...]
    whole: Part | None = None

    @property
    def verdict(self) -> Verdict:
        """The verdict on the claim."""
        return joint(part.verdict for part in self.parts)

    @property
    def shown(self) -> Part:
        """The part whose figure stands for the claim."""
        return self.whole or next((part for part in self.parts if part.figure is not None), self.parts[0])

    @property
    def seeds(self) -> int:
        """Fewest seeds of a part that was measured."""
        return min((part.seeds for part in self.parts if part.seeds), default=0)

    @property
    def text(self) -> str:
        """The verdict with the parts that hold, and those that are undecided."""
        good, unsure = ([p.name for p in self.parts if p.holds is holds] for holds in (True, None))
        if self.verdict not in (Verdict.ONLY_IF, Verdict.HOLDS_FOR):
            return str(self.verdict)
        told = f"; {Verdict.UNDECIDED}: {', '.join(unsure)}" if unsure else ""
        return f"{self.verdict} {', '.join(good)}{told}"
