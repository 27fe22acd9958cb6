"""What is given to ``train``, checked before anything is trained."""

from collections.abc import Iterable, Sequence

import torch

from turncoat import errors
from turncoat.data.dataset import Dataset
from turncoat.errors import TurncoatError, shown
from turncoat.federation.federation import Federation
from turncoat.federation.selections import check_selection
from turncoat.recipe import Recipe
from turncoat.threat import Threat


def check(dataset: object, recipe: object, federation: object, progress: object) -> None:
    """Refuse what is of another kind than it must be.

    Raises:
        TurncoatError: says what came and what must.
    """
    if not isinstance(dataset, Dataset):
        raise TurncoatError(
            f"dataset is {shown(dataset)}, but must be a Dataset: load(name) gives one, from_arrays(x, y) your own"
        )
    if not isinstance(recipe, Recipe):
        raise TurncoatError(f"recipe is {shown(recipe)}, but must be a Recipe(...)")
    if not isinstance(federation, Federation):
        raise TurncoatError(f"federation is {shown(federation)}, but must be a Federation(...)")
    errors.told_of(progress, "replica-steps done and in all")


def checked_threats(threats: object) -> tuple[Threat, ...]:
    """The threats.

    Raises:
        TurncoatError: if they are no list of threats that can be, each by itself.
    """
    if not isinstance(threats, Sequence) or isinstance(threats, str | bytes):
        raise TurncoatError(
            f"threats is {shown(threats)}, but must be a list, such as threats=[Threat(0.25)]"
        )
    for threat in threats:
        if not isinstance(threat, Threat):
            raise TurncoatError(f"threats hold {shown(threat)}, but must hold Threat(...) alone")
        check_selection(threat)
        if threat.schedule == "once" and (threat.aware or threat.knowledge != "omniscient"):
            raise TurncoatError(
                "with schedule 'once' the flips are chosen by an honest run beforehand: leave out knowledge and"
                " aware, or set schedule to 'epoch' or 'step'"
            )
    return tuple(threats)


def checked_seeds(seeds: object) -> tuple[int, ...]:
    """The seeds, each once.

    Raises:
        TurncoatError: if there are none, or one is no whole number from 0 on.
    """
    try:
        if isinstance(seeds, str | bytes) or not isinstance(seeds, Iterable):
            raise TypeError
        listed = list(seeds)
    except TypeError:  # an array without axes calls itself iterable
        raise TurncoatError(f"seeds is {shown(seeds)}, but must be a list, such as seeds=[0]") from None
    chosen = tuple(dict.fromkeys(errors.whole(seed, "a seed") for seed in listed))
    if not chosen:
        raise TurncoatError("no seeds given: name at least one, such as seeds=[0]")
    return chosen


def checked_device(device: object) -> str:
    """The device's name; whether it is there is found out when the data go there.

    Raises:
        TurncoatError: if it is no device.
    """
    try:
        if isinstance(device, str | torch.device):
            return str(torch.device(device))
    except RuntimeError:  # PyTorch lists thirty kinds of devices, none of which is meant
        pass
    raise TurncoatError(
        f"device {shown(device)} cannot be used here (allowed: cpu, and cuda where there is one)"
    )
