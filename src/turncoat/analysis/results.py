"""What came out: one curve per threat and seed, and their statistics over seeds."""

import dataclasses
import itertools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from turncoat.analysis.breakdown import breakdown_budget
from turncoat.analysis.estimate import Estimate, estimate, statistics
from turncoat.analysis.pairs import minus
from turncoat.analysis.reached import reached
from turncoat.analysis.skill import NO_SKILL, lacks_skill
from turncoat.errors import TurncoatError, choose, known_arguments, shown
from turncoat.federation.federation import POOLED, Federation
from turncoat.federation.visibility import SIGNS, summarise
from turncoat.fields import descriptions
from turncoat.recipe import Recipe
from turncoat.threat import CLEAN, Threat
from turncoat.training.stability import UNSTABLE_STEP
from turncoat.training.task import CURVES

EVALUATION_MODE = "evaluation-mode"
ENDINGS = {"tail": "", "last": "_last"}  # of a figure's name, by statistic


@dataclasses.dataclass(frozen=True)
class Setting:
    """What all runs of a result share."""

    dataset: str
    scale: str
    model: str
    recipe: Recipe
    chance: float  # accuracy of always answering the most frequent class
    step_stability: float
    federation: Federation = POOLED
    clean_accuracy: float = math.nan  # of the clean runs: mean over seeds and the last 10 % of the epochs
    in_training: str = ""  # the parts of a model that act differently while it trains

    @property
    def warnings(self) -> tuple[str, ...]:
        """Named warnings.

        ``unstable-step``: the step is too long even for the clean problem. ``no-skill``: the clean model is no better
        than chance. ``evaluation-mode``: the model trains in another mode than the one in which flips are exact.
        """
        raised = {
            UNSTABLE_STEP: self.step_stability > 1,
            NO_SKILL: lacks_skill([self.clean_accuracy], self.chance),
            EVALUATION_MODE: bool(self.in_training),
        }
        return tuple(name for name, here in raised.items() if here)


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """One threat, one seed: a row of ``CURVES`` per epoch, as long as the model trained."""

    threat: Threat
    seed: int
    curves: np.ndarray
    samples: np.ndarray | None = None  # (looks, workers, signs) in a federation: what detection looks at

    def curve(self, name: str) -> np.ndarray:
        """One of ``CURVES`` over the epochs."""
        values: np.ndarray = self.curves[:, CURVES.index(name)]
        return values


@known_arguments
@dataclasses.dataclass(frozen=True, eq=False)
class Results:
    """All runs of one setting; the clean run of every seed is among them."""

    setting: Setting
    runs: tuple[Run, ...]

    def __post_init__(self) -> None:
        runs = self.runs
        if (
            not isinstance(self.setting, Setting)
            or not isinstance(runs, tuple)
            or not all(isinstance(run, Run) for run in runs)
        ):
            raise TurncoatError(
                f"setting is {shown(self.setting)}, runs {shown(runs)}, but must be a Setting and a tuple of its runs,"
                " as train(...) gives them"
            )

    def to_pandas(self) -> pd.DataFrame:
        """One row per threat, seed and epoch."""
        frames = []
        for run in self.runs:
            frame = pd.DataFrame(run.curves, columns=list(CURVES))
            frame.insert(0, "epoch", np.arange(1, len(frame) + 1))
            frame.insert(0, "seed", run.seed)
            for name, value in reversed(_threat_columns(run.threat).items()):
                frame.insert(0, name, [value] * len(frame))
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    def summary(self) -> pd.DataFrame:
        """One row per threat: statistics over seeds of accuracy, macro F1 and harm.

        ``accuracy`` averages the last 10 % of the epochs, ``accuracy_last`` is the last epoch's; ``harm`` is the
        clean accuracy of the same seed minus the attacked one's. Each has mean, std (n - 1), median, and low and high:
        the ends of Student's 95 % interval of the mean, NaN for one seed, which has none.
        """
        rows = []
        for threat, runs in self.by_threat():
            row = _threat_columns(threat) | {"global_budget": threat.global_budget, "seeds": len(runs)}
            row["flips"] = estimate(np.nanmean(run.curve("flips")) for run in runs).mean
            for name, values in _figures(runs, self._clean()).items():
                row |= {f"{name}.{key}": value for key, value in statistics(values).items()}
            row |= _visibility(runs, self.setting.federation.hostile)
            rows.append(row | {"warnings": " ".join(self.setting.warnings)})
        return pd.DataFrame(rows)

    def visibility(self) -> pd.DataFrame:
        """One row per threat, seed, look and worker of a federation: norm, cosine, mean per-example norm."""
        frames = []
        for run in self.runs:
            if run.samples is None:
                continue
            looks, workers, _ = run.samples.shape
            frame = pd.DataFrame(run.samples.reshape(looks * workers, -1), columns=list(SIGNS))
            frame.insert(
                0, "is_hostile", np.tile(np.arange(workers) < self.setting.federation.hostile, looks)
            )
            frame.insert(0, "worker", np.tile(np.arange(workers), looks))
            frame.insert(0, "round", np.repeat(np.arange(looks), workers))
            frame.insert(0, "seed", run.seed)
            for name, value in reversed(_threat_columns(run.threat).items()):
                frame.insert(0, name, [value] * len(frame))
            frames.append(frame)
        if not frames:
            raise TurncoatError("no federation was trained: give workers, such as Federation(workers=10)")
        return pd.concat(frames, ignore_index=True)

    def by_threat(self) -> Iterable[tuple[Threat, list[Run]]]:
        """The runs of each threat, in the order in which threats first came."""
        found: dict[Threat, list[Run]] = {}
        for run in self.runs:
            found.setdefault(run.threat, []).append(run)
        return found.items()

    def harm(self, threat: Threat, rival: Threat = CLEAN, statistic: str = "tail") -> Estimate:
        """What a threat costs in accuracy, against the clean or any other run of the same seed.

        Raises:
            TurncoatError: for a threat that was not trained, or an unknown statistic.
        """
        found = dict(self.by_threat())
        for one in (threat, rival):
            if one not in found:
                raise TurncoatError(
                    f"no run has the threat {shown(one)}: train it, beside those it is compared with"
                )
        own, other = (_by_seed(found[one], "accuracy", statistic) for one in (threat, rival))
        return estimate(minus(other, own))

    def breakdown_budget(self, **fields: Any) -> float:
        """Smallest global budget whose accuracy falls to chance, among threats with these field values.

        It does where chance is within or above the interval and the harm is sure; one seed decides nothing.

        Raises:
            TurncoatError: for a name that is no field of a threat, a value that no attacked run has, or one seed.
        """
        table = self.summary()
        table = table[table["write_access"] > 0]
        for name, value in fields.items():
            choose(name, descriptions(Threat), "field")
            Threat(**{name: value})  # tells what no threat can have
            table = table[table[name] == value]
            if not len(table):
                raise TurncoatError(
                    f"no attacked run has {name} {shown(value)}: leave it out, or train such a threat"
                )
        if len(table) and (table["seeds"] < 2).all():
            raise TurncoatError(
                "one seed has no interval and decides nothing: train two seeds or more, such as seeds=range(6)"
            )
        lows, harms = (
            table.get(f"{name}.low", pd.Series(math.nan, table.index)) for name in ("accuracy", "harm")
        )
        return breakdown_budget(table["global_budget"], lows, harms, self.setting.chance)

    def _clean(self) -> list[Run]:
        return [run for run in self.runs if run.threat == CLEAN]


def with_clean_accuracy(setting: Setting, runs: Iterable[Run]) -> Setting:
    """The setting, with what its clean runs reached."""
    values = _by_seed([run for run in runs if run.threat == CLEAN], "accuracy", "tail")
    return dataclasses.replace(setting, clean_accuracy=estimate(values).mean)


def _by_seed(runs: Iterable[Run], curve: str, statistic: str) -> pd.Series:
    return pd.Series({run.seed: reached(run.curve(curve), statistic) for run in runs}, dtype=float)


def _figures(runs: list[Run], clean: list[Run]) -> dict[str, pd.Series]:
    """One number a seed of all that is summed up; harm for the seeds that have a clean run."""
    found = {}
    for measure, (statistic, ending) in itertools.product(("accuracy", "macro_f1"), ENDINGS.items()):
        found[measure + ending] = _by_seed(runs, measure, statistic)
    for statistic, ending in ENDINGS.items():
        harm = minus(_by_seed(clean, "accuracy", statistic), found["accuracy" + ending])
        found |= {"harm" + ending: harm} if len(harm) else {}
    return found


def _visibility(runs: list[Run], hostile: int) -> dict[str, float]:
    """Means over seeds of the detection figures; empty without samples or without hostile workers."""
    seen = [summarise(run.samples, hostile) for run in runs if run.samples is not None]
    if not seen or not all(seen):
        return {}
    return {f"visibility.{name}": estimate(one[name] for one in seen).mean for name in seen[0]}


def _threat_columns(threat: Threat) -> dict[str, Any]:
    columns = {name: getattr(threat, name) for name in descriptions(Threat)}
    if callable(threat.selection):
        columns["selection"] = getattr(threat.selection, "__name__", repr(threat.selection))
    return columns
