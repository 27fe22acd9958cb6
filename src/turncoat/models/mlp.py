"""Two-layer perceptron with ReLU; PyTorch's default start. Gradients and scores are written by hand.

All replicas eat the same batch, so the first layer of the whole stack is one matrix product: its parameters are
(r, h, d + 1) with the bias last, seen as (r·h, d + 1). Activations are (r, h, n), so that the second layer is one
batched product and neither product nor gradient needs a copy. Of the layouts tried on the CPU this is the
fastest: a step takes about a tenth longer than its matrix products alone.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from turncoat.direction import Params
from turncoat.losses import through_softmax
from turncoat.models.logistic import with_bias
from turncoat.models.products import add_product, among, product
from turncoat.models.stack import Model, Pullback, RestOf

HIDDEN, WEIGHT, BIAS = "hidden", "weight", "bias"
CACHE = 8 << 20  # bytes of parameters that a step still reads from the cache


def mlp(features: int, classes: int, hidden: int = 128) -> Model:
    """The stack of ``features`` → ``hidden`` → ``classes`` networks."""

    def init(generator: torch.Generator, replicas: int) -> Params:
        first, second = features**-0.5, hidden**-0.5

        def draw(bound: float, *shape: int) -> Tensor:
            one = torch.empty(1, *shape).uniform_(-bound, bound, generator=generator)
            return one.repeat(replicas, 1, 1)

        return {
            HIDDEN: torch.cat([draw(first, hidden, features), draw(first, hidden, 1)], 2),
            WEIGHT: draw(second, classes, hidden),
            BIAS: draw(second, classes, 1),
        }

    size = 4 * (hidden * (features + 1) + classes * (hidden + 1))
    return Model(
        name="mlp" if hidden == 128 else f"mlp:{hidden}",
        classes=classes,
        prepare=with_bias,
        init=init,
        logits=logits,
        forward=forward,
        pullback=lambda params, x: _pullback(params, x, _first(params[HIDDEN], x).relu_()),
        several=several,
        forward_own=forward_own,
        scores=scores,
        hessian_product=hessian_product,
        label_norms=label_norms,
        replica_axis={HIDDEN: 0, WEIGHT: 0, BIAS: 0},
        feature_axis={HIDDEN: 2},
        head=(WEIGHT, BIAS),
        tile=max(4, min(200, CACHE // size)),
        chunk=1024,
        recordable=True,
    )


def logits(params: Params, x: Float[Tensor, "n d1"]) -> Float[Tensor, "n c r"]:
    """What the networks answer."""
    return _outward(_second(params, _first(params[HIDDEN], x).relu()))


def forward(params: Params, x: Float[Tensor, "n d1"]) -> tuple[Float[Tensor, "n c r"], Pullback]:
    """Logits, and how to pull a residual back."""
    active = _first(params[HIDDEN], x).relu_()
    return _outward(_second(params, active)), _pullback(params, x, active)


def several(params: Params, x: Float[Tensor, "s b d1"], rest_of: RestOf) -> None:
    """Plain steps, one after the other, with the first layer's products of all their rows at once."""
    hidden, every = params[HIDDEN].flatten(0, 1), x.flatten(0, 1)
    before = product(hidden, every.T)
    moved, size = torch.empty_like(before, dtype=x.dtype), x.shape[1]
    for step in range(len(x)):
        own = slice(step * size, (step + 1) * size)
        z = before[:, own]
        if step:  # what the steps before have moved
            add_product(z, moved[:, : own.start], among(x, step).T, -1.0)
        active = z.unflatten(0, (len(params[HIDDEN]), -1)).relu()

        def keep(into: Params, back: Float[Tensor, "r h b"], weight: float, own: slice = own) -> None:
            moved[:, own] = back.flatten(0, 1)

        _pullback_through(params, active, keep)(
            rest_of(step, _outward(_second(params, active))), params, -1.0
        )
    add_product(hidden, moved, every, -1.0)


def forward_own(params: Params, x: Float[Tensor, "r b d1"]) -> tuple[Float[Tensor, "b c r"], Pullback]:
    """The same where every network has rows of its own."""
    active = torch.bmm(params[HIDDEN], x.transpose(1, 2)).relu_()

    def add_first(into: Params, back: Float[Tensor, "r h b"], weight: float) -> None:
        into[HIDDEN].baddbmm_(back, x, alpha=weight)

    return _outward(_second(params, active)), _pullback_through(params, active, add_first)


def scores(params: Params, x: Float[Tensor, "n d1"], direction: Params) -> Float[Tensor, "n c r"]:
    """Directional derivative of the logits; parameters that ``direction`` leaves out do not move."""
    active = _first(params[HIDDEN], x)
    moved = None
    if HIDDEN in direction:
        moved = _first(direction[HIDDEN], x).mul_(active > 0)
    active = active.relu_()
    result = torch.baddbmm(direction[BIAS], direction[WEIGHT], active)
    if moved is not None:
        result = result.baddbmm_(params[WEIGHT], moved)
    return _outward(result)


def hessian_product(
    params: Params,
    x: Float[Tensor, "n d1"],
    soft: Float[Tensor, "n c r"],
    v: Params,
    into: Params,
    weight: float,
) -> None:
    """Forward and backward pass, both differentiated along ``v`` (Pearlmutter 1994); ReLU has no curvature."""
    active = _first(params[HIDDEN], x)
    on = active > 0
    active = active.relu_()
    moved = _first(v[HIDDEN], x).mul_(on)
    shares = _outward(_second(params, active)).softmax(1)
    tangent = torch.baddbmm(v[BIAS], v[WEIGHT], active).baddbmm_(params[WEIGHT], moved)
    rest = _inward(shares - soft)
    rest_moved = _inward(through_softmax(shares, _outward(tangent)))
    back = torch.bmm(params[WEIGHT].transpose(1, 2), rest_moved)
    back = back.baddbmm_(v[WEIGHT].transpose(1, 2), rest).mul_(on)
    into[WEIGHT].baddbmm_(rest_moved, active.transpose(1, 2), alpha=weight)
    into[WEIGHT].baddbmm_(rest, moved.transpose(1, 2), alpha=weight)
    into[BIAS].add_(rest_moved.sum(2, keepdim=True), alpha=weight)
    add_product(into[HIDDEN].view(-1, x.shape[1]), back.view(-1, len(x)), x, weight)


def label_norms(
    params: Params, x: Float[Tensor, "n d1"], logits: Float[Tensor, "n c r"]
) -> Float[Tensor, "n c r"]:
    """Norm of an example's gradient for every label that it could carry: of outer products, layer by layer."""
    active = _first(params[HIDDEN], x)
    on = (active > 0).to(active)
    active = active.relu_()
    shares = _inward(logits.softmax(1))
    across = shares.square().sum(1, keepdim=True) - 2 * shares + 1
    second = across * (active.square().sum(1, keepdim=True) + 1)
    back = torch.bmm(
        params[WEIGHT].transpose(1, 2), shares
    )  # of the softmax alone; a label takes its own row away
    both = torch.bmm(params[WEIGHT], on * back)
    squares = (on * back.square()).sum(1, keepdim=True) - 2 * both + torch.bmm(params[WEIGHT].square(), on)
    return _outward((second + squares * x.square().sum(1)).clamp_(min=0).sqrt_())


def _pullback(params: Params, x: Tensor, active: Float[Tensor, "r h n"]) -> Pullback:
    def add_first(into: Params, back: Float[Tensor, "r h n"], weight: float) -> None:
        add_product(into[HIDDEN].view(-1, x.shape[1]), back.view(-1, len(x)), x, weight)

    return _pullback_through(params, active, add_first)


def _pullback_through(
    params: Params, active: Float[Tensor, "r h n"], add_first: Callable[[Params, Tensor, float], None]
) -> Pullback:
    """Back through the second layer; ``add_first`` then adds the first layer's part."""

    def pull(residual: Tensor, into: Params, weight: float) -> None:
        rest = _inward(residual)
        # ``into`` may be the parameters themselves: what is read of them is read before the first addition
        back = torch.bmm(params[WEIGHT].transpose(1, 2), rest)
        torch.ops.aten.threshold_backward.grad_input(back, active, 0, grad_input=back)
        into[WEIGHT].baddbmm_(rest, active.transpose(1, 2), alpha=weight)
        into[BIAS].add_(rest.sum(2, keepdim=True), alpha=weight)
        add_first(into, back, weight)

    return pull


def _first(weight: Float[Tensor, "r h d1"], x: Float[Tensor, "n d1"]) -> Float[Tensor, "r h n"]:
    return product(weight.flatten(0, 1), x.T).view(len(weight), -1, len(x))


def _second(params: Params, active: Float[Tensor, "r h n"]) -> Float[Tensor, "r c n"]:
    return torch.baddbmm(params[BIAS], params[WEIGHT], active)


def _outward(values: Float[Tensor, "r c n"]) -> Float[Tensor, "n c r"]:
    return values.permute(2, 1, 0).contiguous()


def _inward(values: Float[Tensor, "n c r"]) -> Float[Tensor, "r c n"]:
    return values.permute(2, 1, 0).contiguous()
