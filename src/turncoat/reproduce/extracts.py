"""Evidence as files small enough to be committed: two Parquet tables, and what computed them."""

import functools
import json
from pathlib import Path
from typing import Any

import pandas as pd

from turncoat.errors import TurncoatError
from turncoat.reproduce.evidence import (
    ENDS,
    FIGURES,
    LONG,
    MEASURED,
    Evidence,
    cell_of,
    rounded,
    table,
    with_intervals,
)
from turncoat.sweep.cells import COLUMNS, complete, key, newer
from turncoat.sweep.layout import VERSION
from turncoat.writing import write_whole

VERSIONED = "turncoat"  # the attribute of a table that says in which version of a store's terms it is
OLDEST = 2  # that of 0.1.0, which did not say it yet
POINTS, CURVES, ORIGINS = "points.parquet", "curves.parquet", "origins.json"


def write(evidence: Evidence, folder: Path) -> list[Path]:
    """Write the evidence; the paths of the files.

    Measures are float32; keys, paired clean runs and ends of intervals are left out, for ``read`` makes them again.
    """
    points = _small(evidence.points[[*COLUMNS, *MEASURED]], MEASURED)
    curves = _small(evidence.curves[list(LONG)], (*FIGURES, "chance", "step_stability"))
    paths = [folder / POINTS, folder / CURVES, folder / ORIGINS]
    for frame, path in ((points, paths[0]), (curves.drop(columns="seed"), paths[1])):
        frame.attrs = {VERSIONED: VERSION}
        write = functools.partial(frame.to_parquet, index=False, compression="zstd", compression_level=19)
        write_whole(path, write)
    origins = json.dumps(evidence.origins, indent=1) + "\n"
    write_whole(paths[2], lambda path: path.write_text(origins, encoding="utf-8"))
    return paths


def read(folder: Path) -> Evidence:
    """The evidence of ``write``.

    Raises:
        TurncoatError: if a file is absent or is none of ours.
    """
    for name in (POINTS, CURVES, ORIGINS):
        if not (folder / name).is_file():
            raise TurncoatError(
                f"{folder / name} is missing; write extracts with: turncoat reproduce extract -o {folder}"
            )
    try:
        points = _complete(pd.read_parquet(folder / POINTS), MEASURED)
        curves = pd.read_parquet(folder / CURVES).drop(
            columns=list(ENDS), errors="ignore"
        )  # 0.1.0 kept bootstrap ones
        curves = _complete(curves.assign(seed=0), LONG)
        curves = rounded(curves, (*FIGURES, "chance", "step_stability"))
        origins = json.loads((folder / ORIGINS).read_text(encoding="utf-8"))
        return Evidence(table(_rows(points)), with_intervals(_with_keys(curves)), origins)
    except TurncoatError as error:
        raise TurncoatError(f"{folder}: {error}") from error
    except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors are ValueErrors
        raise TurncoatError(f"{folder}: these are no extracts of this version: {error}") from error


def _small(frame: pd.DataFrame, measures: tuple[str, ...]) -> pd.DataFrame:
    return frame.sort_values(list(COLUMNS), kind="stable", key=_sortable).astype(
        dict.fromkeys(measures, "float32")
    )


def _sortable(column: pd.Series) -> pd.Series:
    return column.astype(str) if column.dtype == object else column


def _complete(frame: pd.DataFrame, measures: tuple[str, ...]) -> pd.DataFrame:
    """With the columns of a config that were added since it was written, at their defaults.

    Raises:
        TurncoatError: for a column that is not known here, or if what columns mean has changed since.
    """
    if frame.attrs.pop(VERSIONED, OLDEST) > VERSION:
        raise newer("unknown version")
    flat = complete({str(name): None for name in frame.columns if name in COLUMNS or name not in measures})
    return frame.assign(**{name: value for name, value in flat.items() if name not in frame})


def _rows(points: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in points.to_dict("records")]


def _with_keys(curves: pd.DataFrame) -> pd.DataFrame:
    """Keys by the first row of each cell: its rows follow one another from epoch 1 on."""
    starts = curves["epoch"] == 1
    cells = [cell_of(flat).with_seed(0) for flat in _rows(curves[starts])]
    keys = pd.Series([key(cell) for cell in cells], dtype=object)
    number = (starts.cumsum() - 1).to_numpy()
    return curves.assign(key=keys.iloc[number].to_numpy() if len(curves) else [])[[*LONG, "key"]]
