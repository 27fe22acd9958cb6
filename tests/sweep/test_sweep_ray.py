"""Sweeps on a Ray cluster of several nodes: the same rows, whichever node or process is killed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cut import CELLS, Rows, begin, count, rows, wait_until

from turncoat import TurncoatError
from turncoat.sweep import experiment
from turncoat.sweep.runner import INTERVAL, sweep

ray = pytest.importorskip("ray", reason="needs Ray: pip install 'turncoat[ray]'")
pytest.importorskip("ray.cluster_utils", reason="needs Ray: pip install 'turncoat[ray]'")
pytestmark = pytest.mark.filterwarnings("default")  # Ray's own are not ours to mend

NET = """
from pathlib import Path

from torch import nn


class Net(nn.Linear):
    def forward(self, x):
        if len(x) > 8 and Path({bad!r}).exists():  # a batch
            raise ArithmeticError("too much")
        return super().forward(x.flatten(1))


def make(classes):
    return Net(64, classes)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that trains nothing and two nodes of one CPU each."""
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        found.add_node(num_cpus=1)
    yield found
    ray.shutdown()
    found.shutdown()


def test_rows_are_the_serial_ones_though_a_node_is_killed(
    cluster: Any, grid: Path, whole: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two stacks on two nodes of one CPU each: whichever is killed trains one of them."""
    monkeypatch.setenv(INTERVAL, "0.02")
    store, killed = tmp_path / "s.db", []

    def kill(done: int, total: int) -> None:
        if not killed and count(store, "checkpoints") == 2:
            killed.append(cluster.worker_nodes)
            cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
            cluster.add_node(num_cpus=1)

    assert sweep(experiment.read(grid), store, kill, ray=cluster.address).trained == CELLS
    assert killed and rows(store) == whole


def test_the_parent_is_killed(cluster: Any, grid: Path, whole: Rows, tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    process = begin(grid, store, "--ray", cluster.address)
    wait_until(lambda: count(store, "checkpoints") > 0, process)
    process.kill()
    process.communicate()
    assert len(rows(store)) < CELLS
    told: list[int] = []
    sweep(experiment.read(grid), store, lambda done, _: told.append(done), ray=cluster.address)
    assert told[0] > 0, "it goes on from what was told"
    assert rows(store) == whole


def test_an_error_in_a_task_is_the_sweeps(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model's code is found in the folder that the sweep was started in."""
    monkeypatch.chdir(tmp_path)
    Path("ray_net.py").write_text(NET.format(bad=str(tmp_path / "bad")))
    asked = experiment.experiment({"model": "ray_net:make", "epochs": 1, "seeds": 1, "write_access": 0.5})
    Path("bad").touch()
    with pytest.raises(TurncoatError, match=r"too much \(while training the cell .*ray_net:make@"):
        sweep(asked, "s.db", ray=cluster.address)
    Path("bad").unlink()
    assert sweep(asked, "s.db", ray=cluster.address).trained == 3


def test_a_device_that_the_cluster_has_not(cluster: Any, tmp_path: Path) -> None:
    for device, said in (
        ("cuda", "no node of the cluster has a GPU"),
        ("cuda:1", "on a cluster it is cpu or cuda"),
    ):
        asked = experiment.experiment({"epochs": 1, "seeds": 1, "write_access": 0.5, "device": device})
        with pytest.raises(TurncoatError, match=said):
            sweep(asked, tmp_path / "s.db", ray=cluster.address)
    assert not list(tmp_path.iterdir())
