"""The example app: beside our own federation, and whole, by Flower's own engine."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("flwr", reason="needs pip install 'turncoat[flower]'")

import tomllib

from one_process import Here

from turncoat import Federation, Recipe, Threat, load, train
from turncoat.sweep.store import open_store

APP = Path(__file__).parents[2] / "examples" / "flower"
ROUNDS, SEEDS = 6, (0, 1, 2)


def run_config(**own) -> dict:
    found = tomllib.loads((APP / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["config"]
    return found | {"rounds": ROUNDS} | own


@pytest.fixture
def app(monkeypatch):
    monkeypatch.syspath_prepend(APP)
    from digits_app import client_app, server_app, task

    return client_app, server_app, task


def played(app, **own) -> None:
    """A run of the example, its clients called one after another in this process."""
    client_app, server_app, task = app
    config = run_config(**own)
    grid = Here(client_app.app, task.CLIENTS, config)
    server_app.app(grid, next(iter(grid.contexts.values())))


@pytest.mark.parametrize(
    ("rule", "selection"), [("mean", "optimal"), ("median", "optimal"), ("median", "none")]
)
def test_accuracies_are_those_of_our_own_federation(app, tmp_path, rule, selection):
    store = tmp_path / "flower.db"
    for seed in SEEDS:
        played(app, store=str(store), aggregator=rule, selection=selection, seed=seed)
    with open_store(store) as opened:
        theirs = np.array([record.curves[-1, 0] for record in opened.records()])
        row = opened.curves().iloc[0]
    assert (row["workers"], row["hostile"], row["aggregator"], row["local_steps"]) == (10, 3, rule, 9)
    recipe = Recipe(epochs=ROUNDS, batch_size=16, learning_rate=0.2)
    federation = Federation(workers=10, hostile=3, local_steps=9, aggregator=rule)
    attack = [] if selection == "none" else [Threat(selection=selection, knowledge="local")]
    ours = train(load("digits"), threats=attack, seeds=SEEDS, recipe=recipe, federation=federation)
    last = [run.curve("accuracy")[-1] for run in ours.runs if run.threat.is_clean == (not attack)]
    spread = max(np.std(last, ddof=1), np.std(theirs, ddof=1))
    assert abs(np.mean(last) - theirs.mean()) <= 2 * spread


def test_the_attack_harms_and_the_rule_helps(app, tmp_path):
    found = {}
    for rule, selection in (("mean", "none"), ("mean", "optimal"), ("nnm+trimmed_mean", "optimal")):
        store = tmp_path / f"{rule}-{selection}.db"
        played(app, store=str(store), aggregator=rule, selection=selection)
        with open_store(store) as opened:
            found[rule, selection] = opened.records()[0].curves[-1, 0]
    assert found["mean", "optimal"] < found["mean", "none"] - 0.05
    assert found["nnm+trimmed_mean", "optimal"] > found["mean", "optimal"] + 0.05


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def superlink(tmp_path):
    """Flower's own server for simulations, on a port of its own, and the environment that leads to it."""
    port, home = free_port(), tmp_path / "home"
    home.mkdir()
    quiet = {
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
    )
    command = ["flower-superlink", "--insecure", "--simulation", "--isolation", "subprocess"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--database", str(tmp_path / "state.db")]
    env = os.environ | quiet
    with (tmp_path / "superlink.log").open("w") as log:
        server = subprocess.Popen(command, env=env, cwd=tmp_path, stdout=log, stderr=log)
        try:
            wait_for(port, server)
            yield env
        finally:
            server.terminate()
            server.wait(30)


def wait_for(port: int, server: subprocess.Popen) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
            return
        except (urllib.error.URLError, OSError):
            assert server.poll() is None, "the SuperLink ended"
            time.sleep(0.2)
    raise AssertionError("the SuperLink did not answer")


def test_the_app_runs_whole_by_flower_s_engine(superlink, tmp_path):
    pytest.importorskip("ray", reason="needs pip install 'turncoat[flower]'")
    folder = tmp_path / "app"
    shutil.copytree(APP, folder, ignore=shutil.ignore_patterns("__pycache__"))
    plain = (folder / "pyproject.toml").read_text().split("[tool.flwr.federations]")[0]
    (folder / "pyproject.toml").write_text(plain)
    store = tmp_path / "flower.db"
    run = subprocess.run(
        [
            "flwr",
            "run",
            ".",
            "--stream",
            "--run-config",
            f"aggregator='median' selection='optimal' rounds=2 store='{store}'",
            "--federation-config",
            "num-supernodes=10 client-resources-num-cpus=1",
        ],
        cwd=folder,
        env=superlink,
        capture_output=True,
        text=True,
        timeout=600,
    )
    told = run.stdout + run.stderr
    assert run.returncode == 0 and store.exists(), told
    with open_store(store) as opened:
        (record,) = opened.records()
    assert record.curves.shape[0] == 2 and record.curves[-1, 0] > 0.5
    assert record.config["selection"] == "optimal" and record.config["aggregator"] == "median"
    assert (record.curves[:, 3] > 300).all()  # flips of three clients with 144 examples each
    assert np.isfinite(record.samples[:, :, :2]).all()
