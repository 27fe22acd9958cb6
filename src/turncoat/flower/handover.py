"""The round's flips on their way from the mod to the client's training, through the context's state."""

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, MetricRecord
from torch.utils.data import Dataset

from turncoat.attack.flipped_labels import FlippedLabels
from turncoat.attack.worst_flips import Flips

CHOSEN, OBJECTIVES, SEEN = "turncoat.flips", "turncoat.objectives", "turncoat.seen"


def put(context: Context, flips: Flips | None) -> None:
    """Leave the flips for the training; None is left by a client that is honest."""
    state = context.state
    state[SEEN] = ConfigRecord({"taken": False})
    if flips is not None:
        parts = {"labels": flips.labels, "indices": flips.indices, "gain": flips.gain}
        state[CHOSEN] = ArrayRecord({k: Array(np.asarray(v.numpy(force=True))) for k, v in parts.items()})
        state[OBJECTIVES] = MetricRecord({"before": flips.alignment_before, "after": flips.alignment_after})


def taken(context: Context) -> bool:
    """Whether the training has asked for the flips."""
    return bool(context.state.config_records[SEEN]["taken"])


def clear(context: Context) -> None:
    """Forget the flips: labels are clean again after each round."""
    for name in (CHOSEN, OBJECTIVES, SEEN):
        context.state.pop(name, None)


def flipped(dataset: Dataset, context: Context) -> Dataset:
    """The client's data set with this round's labels; itself where the client is honest.

    Raises:
        TurncoatError: if it is not the data set, in the order, that ``hostile`` was given.
    """
    state = context.state
    if SEEN in state:
        state[SEEN] = ConfigRecord({"taken": True})
    if CHOSEN not in state:
        return dataset
    chosen = state.array_records[CHOSEN]
    labels, indices, gain = (
        torch.from_numpy(chosen[name].numpy().copy()) for name in ("labels", "indices", "gain")
    )
    objectives = state.metric_records[OBJECTIVES]
    return FlippedLabels(
        dataset, Flips(labels, indices, gain, float(objectives["before"]), float(objectives["after"]))
    )
