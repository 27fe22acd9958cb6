"""A small convolutional network for images: two convolutions, each pooled and rectified, and a linear classifier.

On the CPU its activations lie with the channels last, where convolutions and pooling run vectorised over them: a step
takes about half the time. Replicas run one after the other there. ``vmap`` takes twice as long, and grouped
convolutions over a stack are up to a sixth faster with 8 channels and as much slower with 16 (benchmarks/networks.py).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from turncoat.errors import TurncoatError

CHANNELS = 8  # after the first convolution; the second gives twice as many
KERNEL, POOL = 3, 2


class ConvolutionalNetwork(nn.Module):
    """Convolutions of 3 x 3 pixels, 2 x 2 maxima and ReLU, twice over; PyTorch's default start.

    Raises:
        TurncoatError: if the examples are no images, or of sides below 4.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, channels: int = CHANNELS) -> None:
        if len(shape) != 3 or min(shape[1:]) < POOL**2:
            hint = ": give x[:, None] if there is no axis of channels, or" if len(shape) == 2 else ";"
            raise TurncoatError(
                f"cnn halves images twice, but an example here has shape {shape}: it needs (channels, height, width)"
                f" with both sides {POOL**2} or more{hint} use 'mlp'"
            )
        super().__init__()
        colours, height, width = shape
        self.first = nn.Conv2d(colours, channels, KERNEL, padding=KERNEL // 2)
        self.second = nn.Conv2d(channels, 2 * channels, KERNEL, padding=KERNEL // 2)
        self.head = nn.Linear(2 * channels * (height // POOL**2) * (width // POOL**2), classes)

    def forward(self, x: Float[Tensor, "n k h w"]) -> Float[Tensor, "n c"]:
        """Logits of the images."""
        x = channels_last(x)
        for convolve in (self.first, self.second):
            x = nn.functional.max_pool2d(convolve(x), POOL).relu()
        logits: Tensor = self.head(x.flatten(1))
        return logits


def channels_last(x: Float[Tensor, "n k h w"]) -> Float[Tensor, "n k h w"]:
    """The same images in another memory; a copy, since torch takes images of one channel for laid out either way."""
    if x.is_cuda:
        return x
    return x.permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format).permute(0, 3, 1, 2)
