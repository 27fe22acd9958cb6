"""Where the rows and features of a data set come from, where that was a table."""

import dataclasses

import numpy as np
from jaxtyping import Int64

LEFT_OUT = "left out"


@dataclasses.dataclass(frozen=True)
class Column:
    """What was done to a column: it became ``features`` features, none where it was left out."""

    name: str
    kind: str  # number, date, text or left out
    told: str  # what was done, in words
    features: int

    @property
    def plain(self) -> bool:
        """Whether it is a number that was taken as it stood."""
        return self.kind == "number" and not self.told


@dataclasses.dataclass(frozen=True, eq=False)
class Origin:
    """The table's rows (counted from 0, without the header) behind both parts, and what became of its columns."""

    rows: Int64[np.ndarray, " n"]
    rows_test: Int64[np.ndarray, " m"]
    columns: tuple[Column, ...]
    features: tuple[str, ...]  # a name for each feature, such as "age" or "clinic = north"

    def notes(self) -> list[str]:
        """One line for each column that was not taken as it stood."""
        return [f"column {column.name!r}: {column.told}" for column in self.columns if not column.plain]
