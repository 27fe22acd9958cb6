"""A planner's search as plain named arrays, and back, to the bit."""

import numpy as np
import torch
from torch import Tensor

from turncoat.planning.costates import Leg
from turncoat.planning.descent import Search
from turncoat.planning.ledger import Ledger
from turncoat.planning.planner import Planner

Arrays = dict[str, np.ndarray]

_SEARCH = ("prior", "step", "judged", "last", "scale")
_LEDGER = ("plan", "best", "momentum")


def to_arrays(planner: Planner) -> Arrays:
    """Everything needed to go on planning, or to follow what was planned."""
    arrays: Arrays = {"done": np.array(planner.done)}
    if planner.found_from:
        arrays["found_from"] = np.array(planner.found_from)
    state = planner.state
    if state is None:
        return arrays
    arrays["history"] = np.array([row + [np.nan] * (_widest(state) - len(row)) for row in state.history])
    for owner, names in ((state, _SEARCH), (state.ledger, _LEDGER)):
        for name in names:
            value = getattr(owner, name)
            if value is not None:
                arrays[name] = value.numpy(force=True).copy()
    return arrays | legs_to_arrays(state.ledger.legs)


def restore(planner: Planner, arrays: Arrays) -> None:
    """Go on from what ``to_arrays`` gave."""
    device = planner.scene.y.device
    planner.done = int(arrays["done"])
    planner.found_from = arrays["found_from"].tolist() if "found_from" in arrays else []
    if "prior" not in arrays:
        return
    found: dict[str, Tensor] = {
        name: torch.tensor(arrays[name], device=device) for name in (*_SEARCH, *_LEDGER) if name in arrays
    }
    planner.state = Search(
        prior=found["prior"],
        ledger=Ledger(legs_from_arrays(arrays, device), *(found[name] for name in _LEDGER)),
        step=found["step"],
        judged=found["judged"],
        last=found.get("last"),
        scale=found.get("scale"),
        history=[[v for v in row if v == v] for row in arrays["history"].tolist()],
    )


def legs_to_arrays(legs: list[Leg]) -> Arrays:
    """The legs, parameter by parameter."""
    arrays: Arrays = {"phases": np.array([leg.phase for leg in legs], dtype=np.int64)}
    for number, leg in enumerate(legs):
        for part in ("params", "direction"):
            for name, value in getattr(leg, part).items():
                arrays[f"leg/{number}/{part}/{name}"] = value.numpy(force=True).copy()
    return arrays


def legs_from_arrays(arrays: Arrays, device: torch.device) -> list[Leg]:
    """The legs that ``legs_to_arrays`` wrote."""

    def part(number: int, which: str) -> dict[str, Tensor]:
        start = f"leg/{number}/{which}/"
        return {
            key.removeprefix(start): torch.tensor(value, device=device)
            for key, value in arrays.items()
            if key.startswith(start)
        }

    phases = arrays["phases"].tolist()
    return [Leg(phase, part(i, "params"), part(i, "direction")) for i, phase in enumerate(phases)]


def _widest(state: Search) -> int:
    return max((len(row) for row in state.history), default=0)
