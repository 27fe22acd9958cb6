import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from turncoat.reproduce.evidence import Evidence, from_store
from turncoat.sweep import experiment, runner
from turncoat.sweep.experiment import Experiment

KEYS: Mapping[str, Any] = {
    "scale": "unit",
    "epochs": 3,
    "learning_rate": 0.2,
    "write_access": [0.2, 0.5, 1.0],
    "local_budget": [0.5, 1.0],
    "goal": ["untargeted", "targeted"],
    "selection": ["as_printed", "optimal", "random"],
    "seeds": 3,
}
CROWD = KEYS | {"workers": 5, "hostile": 1, "selection": ["as_printed", "random"], "goal": "untargeted"}


@pytest.fixture(scope="session")
def asked() -> Experiment:
    return experiment.experiment(dict(KEYS), "tiny.toml")


@pytest.fixture(scope="session")
def crowd() -> Experiment:
    return experiment.experiment({k: v for k, v in CROWD.items() if k != "write_access"}, "crowd.toml")


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, asked: Experiment, crowd: Experiment) -> Path:
    """Real runs on digits, pooled and federated."""
    path = tmp_path_factory.mktemp("reproduce") / "results.db"
    for one in (asked, crowd):
        runner.sweep(one, path)
    return path


@pytest.fixture(scope="session")
def evidence(store: Path, asked: Experiment, crowd: Experiment) -> Evidence:
    cells = list(itertools.chain(experiment.cells(asked), experiment.cells(crowd)))
    return from_store(store, cells, experiment.cells(asked))
