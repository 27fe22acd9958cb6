"""``audit``: the whole of it, one section after the other."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from turncoat import errors
from turncoat.auditing import attacks, owners
from turncoat.auditing.guaranteed import what_is_guaranteed
from turncoat.auditing.harm import how_much_harm
from turncoat.auditing.seen import would_you_see_it
from turncoat.auditing.setting import Told, choose_setting
from turncoat.auditing.stopping import what_stops_it
from turncoat.auditing.the_data import the_data
from turncoat.auditing.the_labels import Rows, check_rows, the_labels
from turncoat.auditing.whom import whom_it_hits
from turncoat.data import SCALES, columns_to_drop, load
from turncoat.data.dataset import Dataset
from turncoat.data.tables import read_table
from turncoat.errors import TurncoatError, known_arguments, shown
from turncoat.report import as_json, saving
from turncoat.report.report import Report, Section, Text

SCALED = ("standard", "unit")  # scales that are tried where none is asked for
STOPPED = "Stopped before its end: sections after the last one below are missing."


@known_arguments
@dataclasses.dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found: its report, and the rows to check; ``complete`` unless it was stopped."""

    report: Report
    rows: pd.DataFrame | None
    complete: bool = True

    def __post_init__(self) -> None:
        given = (self.report, self.rows, self.complete)
        kinds = (Report, pd.DataFrame | None, bool)
        if not all(isinstance(value, kind) for value, kind in zip(given, kinds, strict=True)):
            raise TurncoatError(
                f"report is {shown(self.report)}, rows {shown(self.rows)}, complete {shown(self.complete)}, but must be"
                " a Report, a table of rows and true or false, as audit(...) gives them"
            )

    def to_json(self) -> str:
        """The figures of every section as one JSON object."""
        return as_json.as_json(self.report)

    def to_html(self, path: str | Path) -> None:
        """Write the page, and the figures as .json beside it.

        Raises:
            TurncoatError: if a file cannot be written there.
        """
        saving.save(self.report, Path(path))


@known_arguments
def audit(
    data: str | Path | Dataset,
    *,
    label: str | None = None,
    model: str = "logistic",
    owner: str | None = None,
    costs: str | Path | None = None,
    scale: str | None = None,
    learning_rate: float | None = None,
    drop: str | Sequence[str] | None = None,
    group: str | None = None,
    test_share: float = 0.2,
    quick: bool = False,
) -> Audit:
    """Audit a table, a named data set or a ``Dataset``: what wrong labels could cost, whom they would hit, and so on.

    ``owner`` names a column that says who labelled or sent a row (no feature), ``costs`` a .csv with a row per true
    class and a column per predicted one. Scale and learning rate are chosen on held-out rows unless given.

    Raises:
        TurncoatError: if the data cannot be used, a class has too few rows, or an option does not fit.
    """
    asked = Asked(data, label, model, owner, costs, scale, learning_rate, drop, group, test_share, quick)
    found = list(sections(asked, lambda what, share: None))
    return finished(asked, found)


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is to be audited, and how.

    Raises:
        TurncoatError: for what can be none of these, before any data are read.
    """

    data: str | Path | Dataset
    label: str | None = None
    model: str = "logistic"
    owner: str | None = None
    costs: str | Path | None = None
    scale: str | None = None
    learning_rate: float | None = None
    drop: str | Sequence[str] | None = None
    group: str | None = None
    test_share: float = 0.2
    quick: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.data, str | Path | Dataset) or self.data == "":
            raise TurncoatError(
                f"data is {shown(self.data)}, but must be a file, a data set's name or a Dataset"
            )
        for name in ("model", "label", "owner", "group", "scale"):
            if (value := getattr(self, name)) is not None or name == "model":
                errors.text(value, name)
        if self.scale is not None:
            errors.choose(self.scale, SCALES, "scale")
        if self.learning_rate is not None:
            errors.positive(self.learning_rate, "learning_rate")
        if errors.share(self.test_share, "test_share") in (0.0, 1.0):
            raise TurncoatError(f"test_share is {self.test_share}, but both parts need rows: such as 0.2")
        if self.costs is not None and not isinstance(self.costs, str | Path):
            raise TurncoatError(f"costs is {shown(self.costs)}, but must be the path of a .csv")
        if not isinstance(self.quick, bool):
            raise TurncoatError(f"quick is {shown(self.quick)}, but must be true or false")

    @property
    def name(self) -> str:
        """What the report calls the data."""
        return self.data.name if isinstance(self.data, Dataset) else Path(self.data).name


Found = Section | Rows


def sections(asked: Asked, told: Told) -> Iterator[Found]:
    """The sections as they come to be, and the rows to check before the section that shows them.

    Raises:
        TurncoatError: as ``audit``.
    """
    told("reading the data", 0.0)
    scaled, owned = _read(asked)
    here = choose_setting(scaled, asked.model, asked.learning_rate, asked.quick, told)
    here = dataclasses.replace(here, owners=owned, owner=asked.owner or "")
    matrix = None if asked.costs is None else _costs(Path(asked.costs), here.names)
    yield the_data(here, attacks.run(here, (), told, "training"))
    threats = [threat for *_, threat in attacks.grid(here)]
    outcomes = attacks.run(here, threats, told, "attacking")
    yield how_much_harm(here, outcomes)
    yield whom_it_hits(here, outcomes, matrix, told)
    yield would_you_see_it(here, outcomes, told)
    yield what_stops_it(here, outcomes, told)
    yield what_is_guaranteed(here, outcomes, told)
    told("looking at the labels", 0.0)
    rows = check_rows(here, outcomes)
    yield rows
    more = () if owned is None else owners.of_owners(here, outcomes, rows.chances, told)
    yield the_labels(here, rows, more)


def finished(asked: Asked, found: Sequence[Found], complete: bool = True) -> Audit:
    """The audit of these sections."""
    rows = next((part.together() for part in found if isinstance(part, Rows)), None)
    parts = [part for part in found if isinstance(part, Section)]
    if not complete:
        parts = [Section("Not complete", STOPPED, (Text(STOPPED, warning=True),)), *parts]
    lead = "How much harm could wrong labels do to a model that learns from these data, and would anybody see it?"
    footer = "Intervals are Student's, 95 %, over seeds. Attacks change labels of the training rows alone."
    return Audit(Report(f"Audit of {asked.name}", lead, tuple(parts), footer), rows, complete)


def _read(asked: Asked) -> tuple[list[Dataset], pd.Series | None]:
    """The data in every scale that is tried, and the owner of each training row."""
    if isinstance(asked.data, Dataset):
        given = (asked.label, asked.owner, asked.scale, asked.drop, asked.group)
        if any(value is not None for value in given):
            raise TurncoatError(
                "label, owner, scale, drop and group are for files; a Dataset is taken as it stands"
            )
        return [asked.data], None
    drop = _with(asked.drop, asked.owner)
    options: dict[str, Any] = {
        "label": asked.label,
        "drop": drop,
        "group": asked.group,
        "test_share": asked.test_share,
    }
    scales = SCALED if asked.scale is None else (asked.scale,)
    scaled = [load(asked.data, scale, **options) for scale in scales]
    if asked.owner is None:
        return scaled, None
    origin = scaled[0].origin
    assert origin is not None  # load has refused the owner's column of what is no table
    owned = read_table(Path(asked.data).expanduser(), None)[asked.owner].iloc[origin.rows]
    owners.check_owners(asked.owner, owned)
    return scaled, owned


def _with(drop: str | Sequence[str] | None, owner: str | None) -> list[str] | None:
    return [*columns_to_drop(drop), *([owner] if owner is not None else [])] or None


def _costs(path: Path, names: Sequence[str]) -> np.ndarray:
    """Costs by true class (a row) and predicted class (a column), in the classes' order."""
    try:
        table = pd.read_csv(path, index_col=0)
    except FileNotFoundError as error:
        raise TurncoatError(f"{path}: there is no such file; give the path of a .csv with costs") from error
    except (OSError, ValueError) as error:
        raise TurncoatError(f"{path}: cannot be read as a table of costs ({errors.reason(error)})") from error
    rows, columns = (list(map(str, axis)) for axis in (table.index, table.columns))
    if sorted(rows) != sorted(names) or sorted(columns) != sorted(names):
        raise TurncoatError(
            f"{path}: rows are {', '.join(rows[:8])} and columns {', '.join(columns[:8])}, but both must name the"
            f" classes: {', '.join(names[:8])}; true classes down the first column, predicted ones along the top"
        )
    table.index, table.columns = pd.Index(rows), pd.Index(columns)
    values: np.ndarray = (
        table.loc[list(names), list(names)].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    )
    if not np.isfinite(values).all():
        raise TurncoatError(f"{path}: a cost is missing or is no number; give one for every pair of classes")
    return values
