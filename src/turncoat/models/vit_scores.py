"""Label scores of a transformer: what ``forward`` of ``vit`` does, done to values and their tangents at once.

Forward mode takes each operation's derivative by itself, in many small passes over memory. Here products are added to
where they belong; and since the derivatives of softmax, layer norm and GELU are symmetric, their fused backward kernels
serve as forward ones.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from turncoat.direction import Params
from turncoat.models.module import whole
from turncoat.models.stack import Model, each
from turncoat.models.vit import Size, patches


class Dual(NamedTuple):
    """A tensor and its derivative along the direction."""

    value: Tensor
    tangent: Tensor


EPS = nn.LayerNorm(1).eps
Layer = Callable[[str], Dual]  # a parameter by its name, with how it moves


def with_own_scores(model: Model, size: Size) -> Model:
    """The stack of transformers of this size, with label scores written by hand.

    On a GPU, and where parts do not move, forward mode stays.
    """

    def scores(params: Params, x: Tensor, direction: Params) -> Float[Tensor, "n c r"]:
        if x.is_cuda or set(direction) != set(params):
            return model.scores(params, x, direction)
        pairs = zip(each(params), each(direction), strict=True)
        return whole(torch.stack([_scores(size, own, toward, x) for own, toward in pairs], 2))

    return dataclasses.replace(model, scores=scores)


def _scores(size: Size, params: Params, toward: Params, x: Float[Tensor, "n k h w"]) -> Float[Tensor, "n c"]:
    """Directional derivative of one network's logits, in the numbers of the images."""

    def at(name: str) -> Dual:
        return Dual(params[name].to(x.dtype), toward[name].to(x.dtype))

    tokens, position = _still(patches(x), at, "embed"), at("position")
    tokens = Dual(tokens.value.add_(position.value), tokens.tangent.add_(position.tangent))
    for block in range(size.depth):
        tokens = _block(tokens, at, f"blocks.{block}", size.heads)
    tokens = _layer_norm(tokens, at, "norm")
    return _linear(Dual(*(part.mean(1) for part in tokens)), at, "head").tangent


def _block(tokens: Dual, at: Layer, name: str, heads: int) -> Dual:
    normed = _layer_norm(tokens, at, f"{name}.before_attention")
    tokens = _sum(tokens, _attention(normed, at, f"{name}.attention", heads))
    wide = _linear(_layer_norm(tokens, at, f"{name}.before_widening"), at, f"{name}.widening.0")
    active = Dual(nn.functional.gelu(wide.value), torch.ops.aten.gelu_backward(wide.tangent, wide.value))
    return _sum(tokens, _linear(active, at, f"{name}.widening.2"))


def _attention(tokens: Dual, at: Layer, name: str, heads: int) -> Dual:
    n, t, width = tokens.value.shape
    inward = _linear(tokens, at, f"{name}.inward")
    # one copy puts every head's rows side by side; products of five parts would copy them again and again
    (query, key, value), (query_moved, key_moved, value_moved) = (
        part.view(n, t, 3, heads, -1).permute(2, 0, 3, 1, 4).reshape(3, n * heads, t, -1) for part in inward
    )
    scale = (width // heads) ** -0.5
    key, key_moved = key.transpose(1, 2), key_moved.transpose(1, 2)
    weights = torch.bmm(query.mul_(scale), key).softmax(2)
    moved = torch.bmm(query, key_moved).baddbmm_(query_moved, key, alpha=scale)
    weights_moved = torch.ops.aten._softmax_backward_data(moved, weights, 2, weights.dtype)
    mixed = torch.bmm(weights, value), torch.bmm(weights_moved, value).baddbmm_(weights, value_moved)
    joined = (part.view(n, heads, t, -1).transpose(1, 2).reshape(n, t, width) for part in mixed)
    return _linear(Dual(*joined), at, f"{name}.outward")


def _sum(a: Dual, b: Dual) -> Dual:
    """Written over ``b``."""
    return Dual(b.value.add_(a.value), b.tangent.add_(a.tangent))


def _still(x: Tensor, at: Layer, name: str) -> Dual:
    """A linear layer of what does not move."""
    weight, bias = at(f"{name}.weight"), at(f"{name}.bias")
    return Dual(*(nn.functional.linear(x, w, b) for w, b in zip(weight, bias, strict=True)))


def _linear(x: Dual, at: Layer, name: str) -> Dual:
    result, weight = _still(x.value, at, name), at(f"{name}.weight").value
    result.tangent.flatten(0, -2).addmm_(x.tangent.flatten(0, -2), weight.T)
    return result


def _layer_norm(x: Dual, at: Layer, name: str) -> Dual:
    shape = x.value.shape[-1:]
    weight, bias = at(f"{name}.weight"), at(f"{name}.bias")
    normed, mean, spread = torch.native_layer_norm(x.value, shape, None, None, EPS)
    moved = torch.ops.aten.native_layer_norm_backward(
        x.tangent, x.value, shape, mean, spread, None, None, [True, False, False]
    )[0]
    return Dual(
        torch.addcmul(bias.value, normed, weight.value),
        torch.addcmul(bias.tangent, normed, weight.tangent).addcmul_(moved, weight.value),
    )
