"""A small Vision Transformer (Dosovitskiy et al. 2021) for images, written in plain matrix products.

Plain products have a forward-mode derivative, which fused attention kernels lack: label scores need it.
"""

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor, nn

from turncoat.errors import TurncoatError

PATCH = 4


@dataclasses.dataclass(frozen=True)
class Size:
    """Width of a token, number of blocks, attention heads."""

    width: int
    depth: int
    heads: int


SIZES = {
    "vit": Size(64, 2, 2),
    "vit-tiny": Size(32, 1, 2),
    "vit-small": Size(64, 2, 2),
    "vit-base": Size(128, 4, 4),
}


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.inward = nn.Linear(width, 3 * width)
        self.outward = nn.Linear(width, width)

    def forward(self, tokens: Float[Tensor, "n t w"]) -> Float[Tensor, "n t w"]:
        """Mix the tokens of each example."""
        n, t, width = tokens.shape
        parts = self.inward(tokens).view(n, t, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        query = query * (width // self.heads) ** -0.5  # smaller than the weights it would scale otherwise
        weights = (query @ key.transpose(2, 3)).softmax(3)
        mixed: Tensor = self.outward((weights @ value).transpose(1, 2).reshape(n, t, width))
        return mixed


class Block(nn.Module):
    """Attention and a two-layer perceptron, each after a layer norm and beside a skip connection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.before_widening = nn.LayerNorm(width)
        self.widening = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, tokens: Float[Tensor, "n t w"]) -> Float[Tensor, "n t w"]:
        """One layer of the network."""
        tokens = tokens + self.attention(self.before_attention(tokens))
        result: Tensor = tokens + self.widening(self.before_widening(tokens))
        return result


class VisionTransformer(nn.Module):
    """Patches of 4 x 4 pixels as tokens, learned positions, and the tokens' mean into a linear classifier.

    Raises:
        TurncoatError: if the examples are no images whose sides are multiples of 4.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, size: Size) -> None:
        if len(shape) != 3 or shape[1] % PATCH or shape[2] % PATCH:
            raise TurncoatError(
                f"vit cuts images into patches of {PATCH} x {PATCH} pixels, but an example here has shape"
                f" {shape}: it needs (channels, height, width) with both sides multiples of {PATCH}; use 'mlp'"
            )
        super().__init__()
        channels, height, width = shape
        tokens = (height // PATCH) * (width // PATCH)
        self.embed = nn.Linear(channels * PATCH * PATCH, size.width)
        self.position = nn.Parameter(nn.init.trunc_normal_(torch.empty(tokens, size.width), std=0.02))
        self.blocks = nn.Sequential(*(Block(size.width, size.heads) for _ in range(size.depth)))
        self.norm = nn.LayerNorm(size.width)
        self.head = nn.Linear(size.width, classes)

    def forward(self, x: Float[Tensor, "n k h w"]) -> Float[Tensor, "n c"]:
        """Logits of the images."""
        tokens = self.blocks(self.embed(patches(x)) + self.position)
        logits: Tensor = self.head(self.norm(tokens).mean(1))
        return logits


def patches(x: Float[Tensor, "n k h w"]) -> Float[Tensor, "n t q"]:
    """Cut images into rows of flattened patches."""
    n, channels, height, width = x.shape
    grid = x.view(n, channels, height // PATCH, PATCH, width // PATCH, PATCH)
    return grid.permute(0, 2, 4, 1, 3, 5).reshape(n, -1, channels * PATCH * PATCH)
