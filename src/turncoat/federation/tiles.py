"""How many replicas train together: every worker of every replica holds a message."""

from turncoat.federation.federation import Federation
from turncoat.models.stack import Model
from turncoat.precision import BFLOAT16, FLOAT32

MESSAGES = 20  # replicas whose workers' messages are held at once
GPU_TILES = 4  # times as many on a GPU, which has no cache to stay in but launches to share
LOW_TILES = 2  # times as many of a linear model in bfloat16, whose products are fastest when they are wide


def tile_size(model: Model, federation: Federation, device: str, precision: str = FLOAT32) -> int:
    """Replicas per stack: fewer in a federation, where every worker of every replica holds a message."""
    size = min(model.tile, MESSAGES) if federation.workers else model.tile
    if device.startswith("cuda"):
        return size * GPU_TILES
    return size * LOW_TILES if precision == BFLOAT16 and model.span is not None else size
