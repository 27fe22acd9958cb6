"""A connection to a Ray cluster: the one at an address, the one that is there, or one that is started here."""

import importlib
import logging
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from turncoat.errors import TurncoatError, reason

ANY = "any"  # the cluster that is there, or else one that is started on this machine for the sweep
AUTO = "auto"  # the cluster that is there


@contextmanager
def cluster(address: str, device: str) -> Iterator[None]:
    """While inside, Ray is connected; a connection that the caller has made is left as it is.

    Raises:
        TurncoatError: if Ray is not installed, no cluster answers there, or it can't train on such a device.
    """
    ray = library()
    own = not ray.is_initialized()
    if own:
        _connect(ray, address)
    try:
        if device not in ("cpu", "cuda"):
            raise TurncoatError(
                f"device is {device!r}, but on a cluster it is cpu or cuda: Ray deals the GPUs out"
            )
        if device == "cuda" and not ray.cluster_resources().get("GPU"):
            raise TurncoatError("device is cuda, but no node of the cluster has a GPU; take cpu")
        yield
    finally:
        if own:
            ray.shutdown()


def library() -> Any:
    """Ray itself.

    Raises:
        TurncoatError: if it is not installed.
    """
    with suppress(ImportError):
        ray = importlib.import_module("ray")
        if hasattr(ray, "init"):  # a folder of that name, such as Ray makes in /tmp, can be imported too
            return ray
    raise TurncoatError("--ray needs Ray, which is not installed: pip install 'turncoat[ray]'")


def _connect(ray: Any, address: str) -> None:
    """Connect to the cluster at this address, or start one.

    Raises:
        TurncoatError: if none answers there.
    """
    named = os.environ.get("RAY_ADDRESS", address) if address in (ANY, AUTO) else address
    if named not in (ANY, AUTO):
        _refuse_silence(named)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # Ray tells of its own future
            ray.init(
                address=None if named == ANY else named,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _silent(named, reason(error)) from error


def _refuse_silence(address: str) -> None:
    """Refuse what is no address, and one at which nobody listens: Ray itself would wait for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or "/" in address or not port.isdecimal():
        raise TurncoatError(
            f"--ray {address}: no address of a cluster; write HOST:PORT, or --ray alone for the cluster that is there,"
            " after FILE; from outside a cluster: ray job submit"
        )
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise _silent(address, str(error)) from error


def _silent(address: str, why: str) -> TurncoatError:
    return TurncoatError(
        f"--ray {address}: no Ray cluster answers there ({why}); start one with: ray start --head, or type --ray alone"
        " for one on this machine's cores"
    )
