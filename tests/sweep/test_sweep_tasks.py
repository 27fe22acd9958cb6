"""What a sweep asks of Ray, tried on a stand-in that runs tasks in this process and loses them when it is told to."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from cut import CELLS, Rows, rows

from turncoat import TurncoatError
from turncoat.sweep import experiment, on_ray, ray_cluster, runner
from turncoat.sweep.runner import INTERVAL


class RayError(Exception):
    """As Ray has it: whatever becomes of a task that is no fault of its code."""


class RayTaskError(RayError):
    def __init__(self, cause: Exception) -> None:
        super().__init__("a page of text")
        self.cause = cause


class Ray:
    """A cluster with one node of some CPUs; ``loses`` says of a task and its event whether it is lost there."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self, cpus: int, loses: Callable[[int, int], bool] = lambda task, event: False) -> None:
        self.cpus, self.loses = cpus, loses
        self.options: list[dict[str, Any]] = []
        self.stored: list[object] = []
        self.begun: list[list[Any]] = []
        self.most = 0
        self.cancelled = 0

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": float(self.cpus)}

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"Alive": True, "Resources": self.cluster_resources()},
            {"Alive": False, "Resources": {"CPU": 1.0}},
        ]

    def put(self, value: object) -> int:
        self.stored.append(value)
        return len(self.stored) - 1

    def remote(self, **options: Any) -> Callable[[Any], Any]:
        self.options.append(options)
        return lambda work: SimpleNamespace(remote=lambda *given: self._run(work, given))

    def _run(self, work: Any, given: tuple[Any, ...]) -> Iterator[Any]:
        self.begun.append(given[0])
        number = len(self.begun) - 1

        def events() -> Iterator[Any]:
            try:
                for i, event in enumerate(work(*given)):
                    if self.loses(number, i):
                        yield RayError("the node it was running on is dead")
                        return
                    yield event
            except Exception as error:
                yield RayTaskError(error)

        return events()

    def wait(self, tasks: list[Any], num_returns: int) -> tuple[list[Any], list[Any]]:
        self.most = max(self.most, len(tasks))
        return tasks[-1:], tasks[:-1]

    def get(self, what: Any) -> Any:
        if isinstance(what, RayError):
            raise what
        return self.stored[what] if isinstance(what, int) else what

    def cancel(self, task: Any, force: bool) -> None:
        self.cancelled += 1


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ray]:
    def made(*given: Any) -> Ray:
        ray = Ray(*given)
        monkeypatch.setattr(ray_cluster, "library", lambda: ray)
        return ray

    monkeypatch.setattr(on_ray, "PROGRESS", 0.0)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)  # those of the tests stay
    monkeypatch.setenv(INTERVAL, "0.005")
    return made


def test_tasks_end_with_the_serial_rows_though_each_is_lost_once(
    stand_in: Callable[..., Ray], grid: Path, whole: Rows, tmp_path: Path
) -> None:
    ray = stand_in(4, lambda task, event: task < 2 and event == 30)
    assert runner.sweep(experiment.read(grid), tmp_path / "s.db", ray="any").trained == CELLS
    assert rows(tmp_path / "s.db") == whole
    assert len(ray.begun) == 4 and len(ray.stored) == 1, "the data are put there once"
    assert [[job.saved is None for job in jobs] for jobs in ray.begun] == [[True], [True], [False], [False]]
    assert ray.options[0] == {"num_cpus": 1, "num_gpus": 0, "num_returns": "streaming", "max_retries": 0}
    assert ray.cancelled == 2, "what may be left of those that were lost"


def test_a_task_that_is_always_lost(stand_in: Callable[..., Ray], tmp_path: Path) -> None:
    ray = stand_in(1, lambda task, event: event == 0)
    asked = experiment.experiment({"epochs": 1, "seeds": 1, "write_access": 0.5})
    with pytest.raises(TurncoatError, match=r"lost 4 times \(RayError: the node .* while training the cell"):
        runner.sweep(asked, tmp_path / "s.db", ray="any")
    assert len(ray.begun) == 4


def test_tasks_in_flight_are_bounded(stand_in: Callable[..., Ray], tmp_path: Path) -> None:
    asked = experiment.experiment({"epochs": 1, "seeds": 7, "write_access": 0.5})
    ray = stand_in(2)
    assert runner.sweep(asked, tmp_path / "a.db", ray="any").trained == 21
    assert ray.most == 4
    ray = stand_in(8)
    said: list[str] = []
    assert runner.sweep(asked, tmp_path / "b.db", jobs=3, ray="any", tell=said.append).trained == 21
    assert ray.most == 3 and not said
    assert {options["num_cpus"] for options in ray.options} == {2}, "a share of eight"
    assert rows(tmp_path / "a.db") == rows(tmp_path / "b.db")


def test_an_error_is_told_with_its_cell_and_ends_the_others(
    stand_in: Callable[..., Ray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = experiment.experiment({"epochs": 1, "seeds": 3, "write_access": 0.5})
    ray = stand_in(3)

    def failing(*_: object) -> Iterator[object]:
        raise TurncoatError("no more")
        yield

    monkeypatch.setattr("turncoat.sweep.executor.train_stack", failing)
    with pytest.raises(TurncoatError, match=r"no more \(while training the cell .*\"seed\":2"):
        runner.sweep(asked, tmp_path / "s.db", ray="any")
    assert ray.cancelled == 3


def test_a_node_of_another_version(
    stand_in: Callable[..., Ray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = stand_in(1)
    asked = experiment.experiment({"epochs": 1, "seeds": 1, "write_access": 0.5})
    train = on_ray._train
    monkeypatch.setattr(on_ray, "_train", lambda *given: train(*given[:4], "0.1.0", given[5]))
    with pytest.raises(
        TurncoatError, match=r"has turncoat .*, but the sweep is of 0\.1\.0: install the same"
    ):
        runner.sweep(asked, tmp_path / "s.db", ray="any")
    assert ray.begun


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = experiment.experiment({"epochs": 1, "seeds": 1, "write_access": 0.5})
    for found in (None, SimpleNamespace()):  # not there, or a folder of that name
        monkeypatch.setitem(sys.modules, "ray", found)
        with pytest.raises(TurncoatError, match=r"not installed: pip install 'turncoat\[ray\]'"):
            runner.sweep(asked, tmp_path / "s.db", ray="auto")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (
            "127.0.0.1:1",
            r"--ray 127\.0\.0\.1:1: no Ray cluster answers there \(.*refused\); start one with: ray start",
        ),
        (
            "grid.toml",
            r"--ray grid\.toml: no address of a cluster; write HOST:PORT, or --ray alone .* after FILE",
        ),
        ("ray://head:10001", "no address of a cluster"),
        ("head:", "no address of a cluster"),
        ("auto", r"--ray auto: no Ray cluster answers there \(ConnectionError: nobody\)"),
    ],
)
def test_no_cluster_at_the_address(
    address: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**_: object) -> None:
        raise ConnectionError("nobody\nis there")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(
        ray_cluster, "library", lambda: SimpleNamespace(is_initialized=lambda: False, init=init)
    )
    asked = experiment.experiment({"epochs": 1, "seeds": 1, "write_access": 0.5})
    with pytest.raises(TurncoatError, match=said) as caught:
        runner.sweep(asked, tmp_path / "s.db", ray=address)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
