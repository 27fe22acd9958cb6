"""What is attacked: the data, as they are read, and the model that learns from them."""

import dataclasses

from turncoat import errors
from turncoat.fields import described


@dataclasses.dataclass(frozen=True)
class Problem:
    """A data set and a model, by name.

    Raises:
        TurncoatError: for a value of the wrong kind; whether the names are known is found out when they are used.
    """

    dataset: str = described("digits", "data set by name, or a .npz, .csv, .tsv or .parquet file of your own")
    scale: str = described(
        "unit", "scale of the features; the papers' main setting is raw", ("raw", "unit", "standard")
    )
    label: str | None = described(None, "label column of a table of your own")
    test_share: float = described(0.2, "share held out for testing from a file without a test part")
    model: str = described("logistic", "what is trained")
    drop: str | None = described(
        None, "columns of a table to leave out: NAME or NAME,NAME; the option may be repeated", several=True
    )
    group: str | None = described(
        None, "column of a table whose equal rows stay on one side of the split, such as a patient"
    )
    workers_from: str | None = described(
        None,
        "who holds which row of data of your own: a column of the table that names the worker, or, in the place of"
        " dataset, a folder with one file for each worker",
    )

    def __post_init__(self) -> None:
        for name in ("dataset", "scale", "model"):
            errors.text(getattr(self, name), name)
        for name in ("label", "drop", "group", "workers_from"):
            if getattr(self, name) is not None:
                errors.text(getattr(self, name), name)
        object.__setattr__(self, "test_share", errors.share(self.test_share, "test_share"))
