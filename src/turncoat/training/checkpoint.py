"""A run's state as plain named arrays, and back: what a sweep writes so that it can go on after a cut."""

import numpy as np
import torch
from torch import Tensor

from turncoat.direction import Params
from turncoat.training.task import RunState

Arrays = dict[str, np.ndarray]

_COUNTS = ("epoch", "row", "step")
_TENSORS = ("alive", "best", "waited", "labels", "inside", "memory")


def to_arrays(state: RunState) -> Arrays:
    """A copy of all of ``state`` under flat names such as ``params/weight`` or ``slots/mean/weight``."""
    arrays: Arrays = {"curves": state.curves.copy(), "samples": state.samples.copy()}
    arrays["counts"] = np.array([getattr(state, name) for name in _COUNTS])
    for name in _TENSORS:
        value = getattr(state, name)
        if value is not None:
            arrays[name] = value.numpy(force=True).copy()
    _put(arrays, "params", state.params)
    _put(arrays, "eyes", state.eyes or {})
    for prefix, slots in (("slots", state.slots), ("eyes_slots", state.eyes_slots or {})):
        for slot, values in slots.items():
            _put(arrays, f"{prefix}/{slot}", values)
    return arrays


def from_arrays(state: RunState, arrays: Arrays) -> None:
    """Set ``state``, as it was made by ``start``, to what ``to_arrays`` wrote."""
    device = state.alive.device

    def tensor(name: str) -> Tensor:
        # in memory of torch's own: NumPy aligns less, and products may round by alignment
        return torch.tensor(arrays[name], device=device)

    written = arrays["curves"]
    state.curves[:, :, : written.shape[2]] = written  # fewer, if some are measured since
    state.samples = arrays["samples"].copy()
    for name, value in zip(_COUNTS, arrays["counts"].tolist(), strict=True):
        setattr(state, name, value)
    for name in _TENSORS:
        setattr(state, name, tensor(name) if name in arrays else None)
    state.params = {name: tensor(f"params/{name}") for name in state.params}
    state.slots = {s: {k: tensor(f"slots/{s}/{k}") for k in values} for s, values in state.slots.items()}
    if state.eyes is not None and state.eyes_slots is not None:
        state.eyes = {name: tensor(f"eyes/{name}") for name in state.eyes}
        state.eyes_slots = {
            s: {k: tensor(f"eyes_slots/{s}/{k}") for k in values} for s, values in state.eyes_slots.items()
        }


def _put(arrays: Arrays, prefix: str, params: Params) -> None:
    for name, value in params.items():
        arrays[f"{prefix}/{name}"] = value.numpy(force=True).copy()
