"""Logistic regression: one row and a sigmoid for two classes, softmax regression for more; zero start.

Parameters are (d + 1, rows, r) with the bias last. Seen as (d + 1, rows·r), both products of a step are one
plain matrix product each for the whole stack.
"""

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from turncoat.direction import Params
from turncoat.losses import residual, through_softmax
from turncoat.models.products import add_product, among, product
from turncoat.models.span import Span
from turncoat.models.stack import Model, Pullback, RestOf

WEIGHT = "weight"


def with_bias(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d1"]:
    """Features with a last column of ones, so that the bias is one more weight."""
    return torch.nn.functional.pad(x, (0, 1), value=1.0)


def own_rows(residual: Float[Tensor, "n c r"], rows: int) -> Float[Tensor, "n rows r"]:
    """The residuals that reach a weight: with two classes the first logit is the constant 0, and has none."""
    return residual if rows > 1 else residual[:, 1:]


def all_logits(z: Float[Tensor, "n rows r"]) -> Float[Tensor, "n c r"]:
    """With two classes the first logit, the constant 0, before the row that there is."""
    return z if z.shape[1] > 1 else torch.cat([torch.zeros_like(z), z], 1)


def own_first(weight: Float[Tensor, "d1 rows r"]) -> Float[Tensor, "r rows d1"]:
    """The same memory seen replica by replica, one row of weights per class."""
    return weight.permute(2, 1, 0)


def lay_own(params: Params) -> Params:
    """The same weights where those of a replica's class lie side by side: its batched products run fastest then."""
    return {WEIGHT: own_first(params[WEIGHT]).clone(memory_format=torch.contiguous_format).permute(2, 1, 0)}


def project(params: Params, x: Tensor) -> Float[Tensor, "n c r"]:
    """The logits of every replica."""
    weight = params[WEIGHT]
    return all_logits(product(x, weight.flatten(1)).view(len(x), *weight.shape[1:]))


def pullback(params: Params, x: Tensor) -> Pullback:
    """How residuals of these rows are pulled back to gradients."""

    def pull(residual: Tensor, into: Params, weight: float) -> None:
        rest = own_rows(residual, into[WEIGHT].shape[1]).reshape(len(x), -1)
        add_product(into[WEIGHT].flatten(1), x.T, rest, weight)

    return pull


def forward(params: Params, x: Tensor) -> tuple[Float[Tensor, "n c r"], Pullback]:
    """Both."""
    return project(params, x), pullback(params, x)


def several(params: Params, x: Float[Tensor, "s b d1"], rest_of: RestOf) -> None:
    """Plain steps one after the other, with one product of all their rows each way."""
    rows, weight, every = params[WEIGHT].shape[1], params[WEIGHT].flatten(1), x.flatten(0, 1)
    z = product(every, weight).view(*x.shape[:2], -1)
    rest = torch.empty_like(z, dtype=x.dtype)
    for step, own in enumerate(z):
        if step:  # what the steps before have moved
            add_product(own, among(x, step), rest[:step].flatten(0, 1), -1.0)
        rest[step] = own_rows(rest_of(step, all_logits(own.view(len(own), rows, -1))), rows).flatten(1)
    add_product(weight, every.T, rest.flatten(0, 1), -1.0)


def forward_own(params: Params, x: Tensor) -> tuple[Float[Tensor, "b c r"], Pullback]:
    """Both where every replica has rows of its own."""
    z = torch.bmm(own_first(params[WEIGHT]), x.transpose(1, 2)).permute(2, 1, 0)

    def pull(residual: Tensor, into: Params, weight: float) -> None:
        rest = own_rows(residual, into[WEIGHT].shape[1]).permute(2, 1, 0)
        own_first(into[WEIGHT]).baddbmm_(rest, x, alpha=weight)

    return all_logits(z), pull


def scores(params: Params, x: Tensor, direction: Params) -> Float[Tensor, "n c r"]:
    """The logits are linear: their derivative along Δ is x·Δ."""
    return project(direction, x)


def hessian_product(params: Params, x: Tensor, soft: Tensor, v: Params, into: Params, weight: float) -> None:
    """Σ_i ∇²ℓ_i v, weighed; the logits are linear, so that the labels do not matter."""
    # J v weighed by the softmax's own derivative
    pullback(params, x)(through_softmax(project(params, x).softmax(1), project(v, x)), into, weight)


def pack(params: Params) -> Float[Tensor, "r p"]:
    """Parameters as one vector a replica."""
    return params[WEIGHT].permute(2, 1, 0).flatten(1)


def worker_gradients(
    params: Params, x: Float[Tensor, "w b d"], labels: Integer[Tensor, "w b r"]
) -> Float[Tensor, "w r p"]:
    """Mean gradient of each worker's batch, as aggregators read it."""
    w, b, _ = x.shape
    rows = params[WEIGHT].shape[1]
    rest = own_rows(residual(project(params, x.flatten(0, 1)), labels.flatten(0, 1)).div_(b), rows)
    # (w, r·rows, b) @ (w, b, d): each message comes out contiguous, as aggregators read it
    left = rest.view(w, b, rows, -1).permute(0, 3, 2, 1).reshape(w, -1, b)
    return torch.bmm(left, x).view(w, -1, rows * x.shape[2])


def example_norms(
    params: Params, x: Float[Tensor, "n d"], labels: Integer[Tensor, "n r"]
) -> Float[Tensor, "n r"]:
    """Norm of every example's gradient."""
    rest = own_rows(residual(project(params, x), labels), params[WEIGHT].shape[1])
    # an example's gradient is an outer product, whose norm is the product of the norms
    return (x.square().sum(1, keepdim=True) * rest.square().sum(1)).sqrt()


def label_norms(
    params: Params, x: Float[Tensor, "n d"], logits: Float[Tensor, "n c r"]
) -> Float[Tensor, "n c r"]:
    """Norm of every example's gradient for every label that it could carry."""
    shares = logits.softmax(1)
    if params[WEIGHT].shape[1] == 1:  # of two classes the first has no weights
        across = 1 - shares
    else:
        across = (shares.square().sum(1, keepdim=True) - 2 * shares + 1).clamp_(min=0).sqrt_()
    return across * x.square().sum(1).sqrt().view(-1, 1, 1)


def logistic(features: int, classes: int) -> Model:
    """The stack for ``features`` inputs: binary (one row, logits (0, z)) for 2 classes, else softmax."""
    rows = 1 if classes == 2 else classes

    def init(generator: torch.Generator, replicas: int) -> Params:
        return {WEIGHT: torch.zeros(features + 1, rows, replicas)}

    def unpack(vectors: Float[Tensor, "r p"]) -> Params:
        return {WEIGHT: vectors.unflatten(1, (rows, features + 1)).permute(2, 1, 0).contiguous()}

    return Model(
        name="logistic",
        classes=classes,
        prepare=with_bias,
        init=init,
        logits=project,
        forward=forward,
        pullback=pullback,
        several=several,
        forward_own=forward_own,
        lay_own=lay_own,
        span=Span(WEIGHT, rows),
        scores=scores,
        hessian_product=hessian_product,
        replica_axis={WEIGHT: 2},
        feature_axis={WEIGHT: 0},
        head=(WEIGHT,),
        tile=64 if rows > 1 else 512,  # some 600 columns: products at full speed, one draw of rows for many
        chunk=1024,
        curvature=0.5 if rows > 1 else 0.25,
        recordable=True,
        pack=pack,
        unpack=unpack,
        worker_gradients=worker_gradients,
        example_norms=example_norms,
        label_norms=label_norms,
    )
