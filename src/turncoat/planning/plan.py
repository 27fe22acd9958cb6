"""A plan to keep: whom it was made for, its labels for any rows, and the flips of a round."""

import dataclasses
import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat import errors, models, own_code
from turncoat.data.dataset import Dataset
from turncoat.errors import TurncoatError
from turncoat.planning import saving
from turncoat.planning.policy import Policy
from turncoat.planning.reach import Reach
from turncoat.planning.realise import drawn_flips, fixed_flips, meant
from turncoat.recipe import Recipe
from turncoat.threat import Threat
from turncoat.writing import write_whole

FORM = 1  # of the file


@dataclasses.dataclass(frozen=True)
class Made:
    """What a plan was made for and from."""

    dataset: str
    fingerprint: str
    model: str
    seed: int
    threat: Threat
    recipe: Recipe
    start: str  # where the search set out from
    objective: tuple[float, ...]  # as plans are judged, per round of the search, on training data
    classes: int
    shape: tuple[int, ...]  # of one example


@errors.known_arguments
@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """Soft labels for every round of a training, as a function of an example's features and true label."""

    made: Made
    policy: Policy

    def __post_init__(self) -> None:
        if not isinstance(self.made, Made) or not isinstance(self.policy, Policy):
            raise TurncoatError(
                f"made is {errors.shown(self.made)}, policy {errors.shown(self.policy)}, but a plan comes from"
                " turncoat.plan(...) or Plan.load(...)"
            )

    @property
    def objective(self) -> tuple[float, ...]:
        """The planning objective by round of the search: about the accuracy on training data."""
        return self.made.objective

    @property
    def phases(self) -> tuple[int, ...]:
        """The round after the last of each phase: within a phase the plan holds the same labels."""
        return self.policy.ends

    def soft_labels(self, x: Any, y: Any, round: int = 0) -> Float[Tensor, "n c"]:
        """The labels that the plan wants these rows to have in a round (counted from 0), on average.

        ``x`` are features as in the data set, (n, d); no row's flipped mass is above what may be written to, and
        their sum is within the budget.

        Raises:
            TurncoatError: for rows of another width, labels that are no class, or a round below 0.
        """
        features, labels = self._rows(x, y)
        n = len(labels)
        threat = self.made.threat
        limit = 1.0 if self._fixed else threat.writable(n) / n
        mass = float(threat.flips(n))
        return self._soft(features, labels, round, limit, mass)

    def average(self, x: Any, y: Any) -> Float[Tensor, "n c"]:
        """The mean label of each of these rows over all rounds.

        Raises:
            TurncoatError: as ``soft_labels``.
        """
        ends = self.phases
        lasts = [end - start for start, end in zip((0, *ends), ends, strict=False)]
        held = (
            self.soft_labels(x, y, end - 1) * (last / ends[-1]) for last, end in zip(lasts, ends, strict=True)
        )
        return sum(held, torch.zeros(()))

    def table(self, x: Any, y: Any) -> Float[Tensor, "c c"]:
        """Which class goes to which: the mean label over all rounds, for the rows of each class."""
        _, labels = self._rows(x, y)
        total = torch.zeros(self.policy.model.classes, self.policy.model.classes, dtype=torch.float64)
        total.index_add_(0, labels, self.average(x, y).double())
        counts = torch.bincount(labels, minlength=len(total)).clamp(min=1)
        return (total / counts.unsqueeze(1)).float()

    def flips(
        self, x: Any, y: Any, members: Any, round: int, generator: torch.Generator | None = None
    ) -> Int[Tensor, " n"]:
        """The labels of a round: of the rows ``members`` (K), at most b·|K| are flipped, as the plan wants them.

        Raises:
            TurncoatError: as ``soft_labels``, and for members that are no rows.
        """
        features, labels = self._rows(x, y)
        own = _members(members, len(labels))
        budget = self.made.threat.allowance(len(own))
        # of K alone: within it the chance of a flip is f / limit, so that the sum is the budget itself
        limit = 1.0 if self._fixed else max(self.made.threat.write_access, 1e-9)
        soft = self._soft(features[own], labels[own], round, limit, budget * limit)
        draw = generator if generator is not None else torch.Generator().manual_seed(self.made.seed)
        result = labels.clone()
        if self.made.threat.schedule == "once":
            result[own] = fixed_flips(soft, labels[own], budget, draw)
        elif len(own):
            flips = meant(soft, labels[own], limit, budget)
            result[own] = drawn_flips(soft, labels[own], limit, flips, draw)
        return result

    def save(self, path: str | Path) -> None:
        """Write the plan to a file (.npz: plain arrays, nothing that runs when it is read).

        Raises:
            TurncoatError: if the file cannot be written.
        """
        made = dataclasses.asdict(self.made)
        if not isinstance(self.made.threat.selection, str):
            raise TurncoatError("a plan of a selection that is a callable cannot be saved")
        arrays = saving.legs_to_arrays(list(self.policy.legs))
        arrays |= {
            "form": np.array(FORM),
            "made": np.array(json.dumps(made)),
            "prior": self.policy.prior.numpy(force=True),
            "weights": self.policy.weights.numpy(force=True),
            "ends": np.array(self.policy.ends),
            "still": np.array(self.policy.still),
        }
        if self.policy.basis is not None:
            arrays["basis"] = self.policy.basis.numpy(force=True)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        write_whole(Path(path), lambda place: Path(place).write_bytes(buffer.getvalue()))

    @classmethod
    def load(cls, path: str | Path, dataset: Dataset | None = None, model: str | None = None) -> "Plan":
        """The plan that ``save`` wrote; with a data set or model, only one that was made for these.

        Raises:
            TurncoatError: if the file is no plan, or one of another data set or model; a plan of a module of one's
                own is read with ``model`` alone.
        """
        arrays = _arrays(Path(path))
        try:
            told = json.loads(str(arrays["made"]))
            threat, recipe = Threat(**told.pop("threat")), Recipe(**told.pop("recipe"))
            told |= {name: tuple(told[name]) for name in ("objective", "shape")}
            made = Made(**told, threat=threat, recipe=recipe)
            _checked(made, path, dataset, model)
            policy = Policy(
                model=models.build(made.model, dataset or _blank(made)),
                prior=torch.tensor(arrays["prior"]),
                legs=tuple(saving.legs_from_arrays(arrays, torch.device("cpu"))),
                weights=torch.tensor(arrays["weights"]),
                ends=tuple(arrays["ends"].tolist()),
                basis=torch.tensor(arrays["basis"]) if "basis" in arrays else None,
                still=int(arrays.get("still", np.array(0))),
            )
        except TurncoatError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise TurncoatError(
                f"{path}: no plan of turncoat, or a damaged one; make one with turncoat.plan(...)"
            ) from error
        return cls(made, policy)

    def check(self, threat: Threat, recipe: Recipe) -> None:
        """Refuse another threat or recipe than the plan was made for.

        Raises:
            TurncoatError: says what differs.
        """
        for given, own in ((threat, self.made.threat), (recipe, self.made.recipe)):
            for field in dataclasses.fields(own):
                here, there = getattr(given, field.name), getattr(own, field.name)
                if here != there and field.name != "selection":
                    raise TurncoatError(
                        f"this plan was made for {field.name} = {there!r}, not {here!r}: plan anew, or give that"
                    )

    @property
    def _fixed(self) -> bool:
        return self.made.threat.placement == "fixed" or self.made.threat.schedule == "once"

    def _rows(self, x: Any, y: Any) -> tuple[Tensor, Int[Tensor, " n"]]:
        try:
            features = torch.as_tensor(np.asarray(x) if not isinstance(x, Tensor) else x).float()
            labels = torch.as_tensor(np.asarray(y) if not isinstance(y, Tensor) else y).long()
        except (TypeError, ValueError, RuntimeError) as error:
            raise TurncoatError(f"x and y must be arrays of numbers: {errors.reason(error)}") from error
        classes = self.policy.model.classes
        if features.ndim < 2 or labels.shape != features.shape[:1]:
            raise TurncoatError(
                f"x has shape {tuple(features.shape)}, y {tuple(labels.shape)}, but must be (n, d) and (n,)"
            )
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise TurncoatError(f"y holds labels outside 0 … {classes - 1}")
        prepared = self.policy.model.prepare(features.flatten(1))
        width = self._width()
        if width is not None and prepared.shape[1] != width:
            raise TurncoatError(
                f"x has {features.flatten(1).shape[1]} features, but the plan was made for {width - 1}"
            )
        return prepared, labels

    def _width(self) -> int | None:
        return None if self.policy.basis is None else len(self.policy.basis)

    def _soft(
        self, x: Tensor, y: Int[Tensor, " n"], turn: int, limit: float, mass: float
    ) -> Float[Tensor, "n c"]:
        phase = self.policy.phase(errors.whole(turn, "round"))
        reach = Reach(torch.full((1, 1), limit), torch.tensor([mass], dtype=torch.float64))
        return self.policy.soft_labels(x, y, phase, reach).squeeze(2)


def _checked(made: Made, path: str | Path, dataset: Dataset | None, model: str | None) -> None:
    """Refuse a plan of another data set or model than those at hand."""
    if dataset is not None and made.fingerprint != dataset.fingerprint:
        raise TurncoatError(
            f"{path}: this plan was made for data set {made.dataset!r} with fingerprint {made.fingerprint}, but the"
            f" one at hand has {dataset.fingerprint}: plan anew, or give that data set"
        )
    if model is None and models.is_own(made.model):
        raise TurncoatError(
            f"{path}: this plan is of a model of one's own, whose code no file may name: give model={made.model!r}"
        )
    if model is not None and own_code.split(model)[0] != own_code.split(made.model)[0]:
        raise TurncoatError(
            f"{path}: this plan was made for model {made.model!r}, not {model!r}: give model={made.model!r}"
        )


def _blank(made: Made) -> Dataset:
    """A data set of the plan's shape, from which its model can be built."""
    y = torch.arange(made.classes)
    x = torch.zeros(made.classes, math.prod(made.shape))
    return Dataset(made.dataset, x, y, x, y, made.classes, made.shape, "unit")


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except OSError as error:
        raise TurncoatError(
            f"{path}: {error.strerror or 'cannot be read'}; give the file of a plan, as Plan.save writes it"
        ) from error
    except (ValueError, zipfile.BadZipFile, EOFError, AttributeError) as error:
        raise TurncoatError(f"{path}: no plan of turncoat; make one with plan(...)") from error


def _members(members: Any, n: int) -> Int[Tensor, " m"]:
    own: Tensor = torch.as_tensor(members)
    if own.dtype == torch.bool and own.shape == (n,):
        return own.nonzero().squeeze(1)
    if (
        own.ndim != 1
        or own.is_floating_point()
        or (len(own) and not 0 <= int(own.min()) <= int(own.max()) < n)
    ):
        raise TurncoatError(f"members must be row numbers from 0 to {n - 1}, or a mask of {n} rows")
    rows: Tensor = own.long().unique()
    return rows
