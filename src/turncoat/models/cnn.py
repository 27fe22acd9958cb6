"""A small convolutional network for images: two convolutions, each pooled and rectified, and a linear classifier.

On the CPU its activations lie with the channels last, where convolutions and pooling run vectorised over them: a step
takes about half the time. There some replicas share a convolution, with a group for each: few channels leave most of a
processor idle, while many more than ``TOGETHER`` no longer fit its cache (docs/measurements.md has the ratios).
"""

import dataclasses
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from turncoat.direction import Params
from turncoat.errors import TurncoatError
from turncoat.models.module import add_gradient
from turncoat.models.stack import Model, Pullback

CHANNELS = 8  # after the first convolution; the second gives twice as many
KERNEL, POOL = 3, 2
TOGETHER = 64  # channels of a convolution on the CPU, over the replicas that share it


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


def grouped(model: Model, channels: int) -> Model:
    """The stack of this network with some replicas in every convolution, and label scores in three of them.

    On a GPU, for rows of each replica's own, and for scores along some of the parameters alone, it stays as it is.
    """
    size = max(1, TOGETHER // channels)

    def logits(params: Params, x: Tensor) -> Float[Tensor, "n c r"]:
        if x.is_cuda:
            return model.logits(params, x)
        x = channels_last(x)
        return torch.cat([_logits(own, x) for _, own in _groups(params, size)], 2)

    def forward(params: Params, x: Tensor) -> tuple[Float[Tensor, "n c r"], Pullback]:
        if x.is_cuda:
            return model.forward(params, x)
        x = channels_last(x)
        # copies: the caller may step the parameters in place before the last replicas are pulled back
        parts = [
            (which, {name: value.clone().requires_grad_() for name, value in own.items()})
            for which, own in _groups(params, size)
        ]
        with torch.enable_grad():
            outs = [_logits(leaves, x) for _, leaves in parts]

        def pull(residual: Tensor, into: Params, weight: float) -> None:
            for (which, leaves), out in zip(parts, outs, strict=True):
                own = {name: into[name][which] for name in leaves}
                add_gradient(leaves, out, residual[:, :, which], own, weight)

        return torch.cat([out.detach() for out in outs], 2), pull

    def scores(params: Params, x: Tensor, direction: Params) -> Float[Tensor, "n c r"]:
        if x.is_cuda or set(direction) != set(params):
            return model.scores(params, x, direction)
        x = channels_last(x)
        pairs = zip(_groups(params, size), _groups(direction, size), strict=True)
        return torch.cat([_scores(own, toward, x) for (_, own), (_, toward) in pairs], 2)

    return dataclasses.replace(
        model,
        logits=logits,
        forward=forward,
        pullback=lambda params, x: forward(params, x)[1],
        scores=scores,
    )


def _groups(params: Params, size: int) -> Iterator[tuple[slice, Params]]:
    """A few replicas at a time: where they stand in the stack, and their part of it."""
    for start in range(0, len(params["head.bias"]), size):
        which = slice(start, start + size)
        yield which, {name: value[which] for name, value in params.items()}


def _logits(params: Params, x: Float[Tensor, "n k h w"]) -> Float[Tensor, "n c r"]:
    """The first convolution is one for all replicas, whose images are the same; the second has a group for each."""
    replicas = len(params["head.bias"])
    x = _convolved(x, params["first.weight"], params["first.bias"])
    x = nn.functional.max_pool2d(x, POOL).relu()
    x = _convolved(x, params["second.weight"], params["second.bias"], replicas)
    x = nn.functional.max_pool2d(x, POOL).relu()
    return _headed(x, params["head.weight"], params["head.bias"])


def _scores(params: Params, toward: Params, x: Float[Tensor, "n k h w"]) -> Float[Tensor, "n c r"]:
    """Directional derivative of the logits.

    The first convolution and its tangent read the same images, so that they are one with twice the channels; the
    second's tangent is one over activations and tangents together. Forward mode takes six.
    """
    first, second, head = (
        {part: (params[f"{layer}.{part}"], toward[f"{layer}.{part}"]) for part in ("weight", "bias")}
        for layer in ("first", "second", "head")
    )
    replicas = len(head["bias"][0])
    both = _convolved(x, torch.cat(first["weight"]), torch.cat(first["bias"]))
    active, moved = _pooled(*both.chunk(2, 1))
    weight, slope = second["weight"]
    beside = _beside(active, moved, replicas)
    tangent = _convolved(beside, torch.cat([slope, weight], 2), second["bias"][1], replicas)
    active, moved = _pooled(_convolved(active, weight, second["bias"][0], replicas), tangent)
    result = _headed(active, head["weight"][1], head["bias"][1])
    return result + _headed(moved, head["weight"][0], torch.zeros_like(head["bias"][0]))


def _convolved(
    x: Float[Tensor, "n k h w"],
    weight: Float[Tensor, "r m j a b"],
    bias: Float[Tensor, "r m"],
    groups: int = 1,
) -> Float[Tensor, "n rm h w"]:
    return nn.functional.conv2d(x, weight.flatten(0, 1), bias.flatten(), padding=KERNEL // 2, groups=groups)


def _headed(
    x: Float[Tensor, "n rm h w"], weight: Float[Tensor, "r c f"], bias: Float[Tensor, "r c"]
) -> Float[Tensor, "n c r"]:
    own = x.reshape(len(x), len(weight), weight.shape[2])
    return torch.baddbmm(bias.unsqueeze(2), weight, own.permute(1, 2, 0)).permute(2, 1, 0)


def _beside(
    a: Float[Tensor, "n rm h w"], b: Float[Tensor, "n rm h w"], replicas: int
) -> Float[Tensor, "n rm2 h w"]:
    """Every replica's channels of the one, then of the other, as they lie in memory."""
    own = [part.permute(0, 2, 3, 1).unflatten(3, (replicas, -1)) for part in (a, b)]
    return torch.cat(own, 4).flatten(3).permute(0, 3, 1, 2)


def _pooled(x: Float[Tensor, "n k h w"], tangent: Float[Tensor, "n k h w"]) -> tuple[Tensor, Tensor]:
    """Maxima above 0, and the tangent where they are taken."""
    largest, places = nn.functional.max_pool2d(x, POOL, return_indices=True)
    # by rows of channels, as they lie in memory
    rows, where = (part.permute(0, 2, 3, 1).flatten(1, 2) for part in (tangent, places))
    n, channels, height, width = largest.shape
    moved = rows.gather(1, where).view(n, height, width, channels).permute(0, 3, 1, 2)
    return largest.relu(), moved * (largest > 0)
