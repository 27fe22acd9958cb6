"""What one round of a Flower run shows to who looks at its messages."""

import dataclasses

import numpy as np
import torch
from flwr.app import ArrayRecord, ConfigRecord, Message

from turncoat.federation.federation import Federation
from turncoat.federation.visibility import SIGNS, signs
from turncoat.flower import arrays as flat


@dataclasses.dataclass
class Seen:
    """What one round showed: a row of ``CURVES``, and ``SIGNS`` of each message, those of hostile clients first."""

    curve: dict[str, float] = dataclasses.field(default_factory=dict)
    signs: np.ndarray | None = None  # (replies, SIGNS)
    reports: list[ConfigRecord] = dataclasses.field(default_factory=list)  # of the hostile clients


def spent(reports: list[ConfigRecord]) -> dict[str, float]:
    """Flips of all hostile clients, and the means of their objectives."""
    if not reports:
        return {"flips": 0.0, "cosine": 1.0}
    found = {"flips": float(sum(int(report["flips"]) for report in reports))}
    for when in ("before", "after"):
        found[f"objective_{when}"] = float(np.mean([report[f"objective-{when}"] for report in reports]))
    return found


def signs_of(sent: ArrayRecord, replies: list[Message], hostile: int) -> np.ndarray:
    """``SIGNS`` of each message; what only the workers know of themselves is NaN."""
    names = flat.averaged(sent)
    records = [next(iter(reply.content.array_records.values())) for reply in replies]
    flat.check_alike(records, sent)
    messages = (flat.vectors([sent], names) - flat.vectors(records, names)).unsqueeze(0)
    unknown = torch.full((len(replies), 1), torch.nan)
    return signs(messages, hostile, unknown.to(messages), unknown.to(messages))[0].numpy()


def placed(look: np.ndarray | None, federation: Federation) -> np.ndarray:
    """A row for each worker, the hostile ones first; NaN for who did not reply."""
    rows = np.full((federation.workers, len(SIGNS)), np.nan)
    if look is not None:
        rows[: len(look)] = look[: federation.workers]
    return rows
