"""How many replicas train together: every worker of every replica holds a message."""

from turncoat.federation.federation import Federation
from turncoat.models.stack import Model

MESSAGES = 20  # replicas whose workers' messages are held at once
GPU_TILES = 4  # times as many on a GPU, which has no cache to stay in but launches to share


def tile_size(model: Model, federation: Federation, device: str) -> int:
    """Replicas per stack: fewer in a federation, where every worker of every replica holds a message."""
    size = min(model.tile, MESSAGES) if federation.workers else model.tile
    return size * GPU_TILES if device.startswith("cuda") else size
