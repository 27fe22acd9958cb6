"""A small convolutional network for images: two convolutions, each pooled and rectified, and a linear classifier.

On the CPU its activations lie with the channels last, where convolutions and pooling run vectorised over them: a step
takes about half the time. Replicas run one after the other there. ``vmap`` takes twice as long, and grouped
convolutions over a stack are up to a fifth faster with 8 channels and a tenth slower with 16, see
``benchmarks/networks.py``.
"""

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor, nn

from turncoat.direction import Params
from turncoat.errors import TurncoatError
from turncoat.models.stack import Model, each

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


def with_own_scores(model: Model) -> Model:
    """The stack of this network, with label scores in three convolutions in place of forward mode's six.

    The first convolution and its tangent read the same images, so that they are one with twice the channels; the
    second's tangent is one over activations and tangents together. On a GPU, and where parts do not move,
    forward mode stays.
    """

    def scores(params: Params, x: Tensor, direction: Params) -> Tensor:
        if x.is_cuda or set(direction) != set(params):
            return model.scores(params, x, direction)
        x = channels_last(x)
        return torch.stack([_scores(*pair, x) for pair in zip(each(params), each(direction), strict=True)], 2)

    return dataclasses.replace(model, scores=scores)


def _scores(params: Params, toward: Params, x: Float[Tensor, "n k h w"]) -> Float[Tensor, "n c"]:
    """Directional derivative of one network's logits."""
    first, second, head = (
        {part: (params[f"{layer}.{part}"], toward[f"{layer}.{part}"]) for part in ("weight", "bias")}
        for layer in ("first", "second", "head")
    )
    both = _convolved(x, torch.cat(first["weight"]), torch.cat(first["bias"]))
    active, moved = _pooled(*both.chunk(2, 1))
    weight, slope = second["weight"]
    tangent = _convolved(torch.cat([active, moved], 1), torch.cat([slope, weight], 1), second["bias"][1])
    active, moved = _pooled(_convolved(active, weight, second["bias"][0]), tangent)
    linear = nn.functional.linear
    result: Tensor = linear(active.flatten(1), head["weight"][1], head["bias"][1])
    return result + linear(moved.flatten(1), head["weight"][0])


def _convolved(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return nn.functional.conv2d(x, weight, bias, padding=KERNEL // 2)


def _pooled(x: Float[Tensor, "n k h w"], tangent: Float[Tensor, "n k h w"]) -> tuple[Tensor, Tensor]:
    """Maxima above 0, and the tangent where they are taken."""
    largest, places = nn.functional.max_pool2d(x, POOL, return_indices=True)
    # by rows of channels, as they lie in memory
    rows, where = (part.permute(0, 2, 3, 1).flatten(1, 2) for part in (tangent, places))
    n, channels, height, width = largest.shape
    moved = rows.gather(1, where).view(n, height, width, channels).permute(0, 3, 1, 2)
    return largest.relu(), moved * (largest > 0)
