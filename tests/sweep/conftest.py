"""A small grid, and the rows of a sweep of it that was never stopped."""

from pathlib import Path

import pytest
from cut import CELLS, GRID, Rows, rows

from turncoat.sweep import experiment, runner


@pytest.fixture(scope="session")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sweep") / "grid.toml"
    path.write_text(GRID)
    return path


@pytest.fixture(scope="session")
def whole(grid: Path) -> Rows:
    """The rows of a sweep that was never stopped."""
    store = grid.with_name("whole.db")
    assert runner.sweep(experiment.read(grid), store).trained == CELLS
    return rows(store)
