"""What came out: one curve per threat and seed, and their statistics over seeds."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from turncoat import metrics
from turncoat.errors import TurncoatError, choose, known_arguments, shown
from turncoat.federation.federation import POOLED, Federation
from turncoat.federation.visibility import SIGNS, summarise
from turncoat.fields import descriptions
from turncoat.recipe import Recipe
from turncoat.threat import CLEAN, Threat
from turncoat.training.stability import UNSTABLE_STEP
from turncoat.training.task import CURVES


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

    @property
    def warnings(self) -> tuple[str, ...]:
        """Named warnings; ``unstable-step``: the step is too long even for the clean problem."""
        return (UNSTABLE_STEP,) if self.step_stability > 1 else ()


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
        clean accuracy of the same seed minus the attacked one's. Each has mean, std, median, low and high.
        """
        clean = {run.seed: run for run in self.runs if run.threat == CLEAN}
        rows = []
        for threat, runs in self.by_threat():
            row = _threat_columns(threat) | {"global_budget": threat.global_budget, "seeds": len(runs)}
            row["flips"] = float(np.mean([np.nanmean(run.curve("flips")) for run in runs]))
            for name, values in _statistics(runs, clean).items():
                row |= {f"{name}.{key}": value for key, value in metrics.statistics(values).items()}
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

    def breakdown_budget(self, **fields: Any) -> float:
        """Smallest global budget whose accuracy falls to chance, among threats with these field values.

        Raises:
            TurncoatError: for a name that is no field of a threat, or a value that no attacked run has.
        """
        table = self.summary()
        for name, value in fields.items():
            choose(name, descriptions(Threat), "field")
            Threat(**{name: value})  # tells what no threat can have
            table = table[(table[name] == value) & (table["write_access"] > 0)]
            if not len(table):
                raise TurncoatError(
                    f"no attacked run has {name} {shown(value)}: leave it out, or train such a threat"
                )
        return metrics.breakdown_budget(
            table["global_budget"].tolist(), table["accuracy.low"].tolist(), self.setting.chance
        )


def _statistics(runs: list[Run], clean: dict[int, Run]) -> dict[str, np.ndarray]:
    values = {
        "accuracy": np.array([metrics.tail_mean(run.curve("accuracy")) for run in runs]),
        "accuracy_last": np.array([run.curve("accuracy")[-1] for run in runs]),
        "macro_f1": np.array([metrics.tail_mean(run.curve("macro_f1")) for run in runs]),
        "macro_f1_last": np.array([run.curve("macro_f1")[-1] for run in runs]),
    }
    if all(run.seed in clean for run in runs):
        honest = [clean[run.seed].curve("accuracy") for run in runs]
        values["harm"] = np.array([metrics.tail_mean(c) for c in honest]) - values["accuracy"]
        values["harm_last"] = np.array([c[-1] for c in honest]) - values["accuracy_last"]
    return values


def _visibility(runs: list[Run], hostile: int) -> dict[str, float]:
    """Means over seeds of the detection figures; empty without samples or without hostile workers."""
    seen = [summarise(run.samples, hostile) for run in runs if run.samples is not None]
    return (
        {f"visibility.{k}": float(np.mean([s[k] for s in seen])) for k in seen[0]}
        if all(seen) and seen
        else {}
    )


def _threat_columns(threat: Threat) -> dict[str, Any]:
    columns = {name: getattr(threat, name) for name in descriptions(Threat)}
    if callable(threat.selection):
        columns["selection"] = getattr(threat.selection, "__name__", repr(threat.selection))
    return columns
