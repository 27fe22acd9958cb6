"""A model as pure functions over a stack of r replicas that eat the same inputs, or each its own.

Logits are (n, c, r): with the classes before the replicas, softmax runs vectorised over a contiguous axis.
"""

import dataclasses
import json
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turncoat.direction import Params
from turncoat.losses import CROSS_ENTROPY, Loss
from turncoat.models.span import Span

Pullback = Callable[[Tensor, Params, float], None]
"""``pullback(residual (n c r), into, weight)`` adds weight · Σ_i J_iᵀ residual_i to ``into``, in place.

``into`` may be the very parameters of the forward pass: plain SGD steps that way, with no gradient stored.
"""

RestOf = Callable[[int, Tensor], Tensor]
"""``rest_of(step, logits (b c r))`` is that step's residual, times its step size and its share in the batch."""


@dataclasses.dataclass(frozen=True)
class TrainingMode:
    """How a model acts while it trains, where it then answers otherwise than it is scored and evaluated."""

    parts: str  # that do so, as messages name them
    # parameters, a batch and a seed for each replica's random numbers → logits (b, c, r), how to pull a residual back,
    # and the statistics after the batch; with a last True residuals may be pulled back more than once
    forward: Callable[..., tuple[Tensor, Pullback, Params]]


def copies(params: Params) -> Params:
    """The same values in memory of their own."""
    return {name: value.clone() for name, value in params.items()}


@dataclasses.dataclass(frozen=True)
class Model:
    """A stack of replicas of one architecture.

    ``replica_axis`` says, per parameter, which axis counts the replicas; ``head`` names the last layer's
    parameters; ``tile`` is how many replicas to train at once so that their parameters stay in cache.
    """

    name: str
    classes: int
    prepare: Callable[[Tensor], Tensor]  # features (n, d) → what the other functions eat
    init: Callable[[torch.Generator, int], Params]  # one draw, the same for all replicas
    logits: Callable[[Params, Tensor], Tensor]  # (n, c, r)
    forward: Callable[[Params, Tensor], tuple[Tensor, Pullback]]  # logits, and how to pull a residual back
    pullback: Callable[[Params, Tensor], Pullback]  # the same where the logits are not wanted
    # the same where every replica has rows of its own: (r, b, …) → logits (b, c, r)
    forward_own: Callable[[Params, Tensor], tuple[Tensor, Pullback]]
    # directional derivative of the logits, (n, c, r); parameters that the direction leaves out do not move
    scores: Callable[[Params, Tensor, Params], Tensor]
    # ``hessian_product(params, x, soft (n c r), v, into, weight)`` adds weight · Σ_i ∇²ℓ_i v to ``into``, where ℓ is
    # the cross-entropy of soft labels
    hessian_product: Callable[[Params, Tensor, Tensor, Params, Params, float], None]
    replica_axis: dict[str, int]
    head: tuple[str, ...]
    tile: int
    chunk: int = 4096  # examples per pass over the whole data
    curvature: float | None = None  # bound on the loss's Hessian over XᵀX/n, where the model is linear
    lay_own: Callable[[Params], Params] = (
        copies  # the same values in the memory that forward_own is fastest with
    )
    span: Span | None = None  # a linear model's training by one coefficient per own row
    # which axis of which parameters counts the features, where a step's products have no more to do with each
    feature_axis: dict[str, int] = dataclasses.field(default_factory=dict)
    loss: Loss = CROSS_ENTROPY  # that it is trained with
    # norms of an example's cross-entropy gradient for every label that it could carry: (n, c, r) from logits (n, c, r)
    label_norms: Callable[[Params, Tensor, Tensor], Tensor] | None = None
    # of its parameters, those that no step moves and no gradient has: what a module keeps of the batches that it saw
    statistics: tuple[str, ...] = ()
    in_training: TrainingMode | None = None  # where a step's forward pass is another than ``forward``
    # ``several(params, x (s b d), rest_of)`` takes s plain steps in place: their first layers' products at once
    several: Callable[[Params, Tensor, RestOf], None] | None = None
    recordable: bool = False  # a step launches the same kernels every time and asks nothing of the CPU
    # For a federation, where a model has something faster than the generic form in federation.messages:
    pack: Callable[[Params], Tensor] | None = None  # parameters → (r, p)
    unpack: Callable[[Tensor], Params] | None = None  # (r, p) → parameters
    worker_gradients: Callable[[Params, Tensor, Tensor], Tensor] | None = (
        None  # (w, b, …), (w, b, r) → (w, r, p)
    )
    example_norms: Callable[[Params, Tensor, Tensor], Tensor] | None = None  # (n, …), (n, r) → (n, r)

    @property
    def is_linear(self) -> bool:
        """Whether the logits are linear in the parameters."""
        return self.curvature is not None


def shapes(model: Model) -> str:
    """The names and shapes of one replica's parameters, in their order."""
    one = model.init(torch.Generator(), 1)
    return json.dumps({name: list(value.shape) for name, value in one.items()})


def zeros(params: Params) -> Params:
    """Zeros of the same shapes."""
    return {name: torch.zeros_like(value) for name, value in params.items()}


def moved(model: Model, params: Params) -> Params:
    """The parameters that steps move; the same tensors."""
    if not model.statistics:
        return params
    return {name: value for name, value in params.items() if name not in model.statistics}


def take(params: Params, replicas: Int[Tensor, " r"], axis: dict[str, int]) -> Params:
    """The stack of some replicas, in that order."""
    return {name: value.index_select(axis[name], replicas) for name, value in params.items()}


def each(params: Params) -> list[Params]:
    """Every replica's own parameters, where the first axis counts the replicas of all."""
    replicas = len(next(iter(params.values())))
    return [{name: value[j] for name, value in params.items()} for j in range(replicas)]


def expand(params: Params, replicas: int, axis: dict[str, int]) -> Params:
    """A stack of equal replicas from a stack of one."""
    return {name: value.repeat_interleave(replicas, axis[name]) for name, value in params.items()}


def dot(a: Params, b: Params, axis: dict[str, int]) -> Float[Tensor, " r"]:
    """Inner product over all parameters, one number per replica."""
    total: Tensor | float = 0.0
    for name, value in a.items():
        others = [i for i in range(value.ndim) if i != axis[name]]
        total = total + (value * b[name]).sum(others)
    assert isinstance(total, Tensor)
    return total


def head_only(direction: Params, head: tuple[str, ...]) -> Params:
    """The last layer's part of the direction; the other parameters do not move."""
    return {name: value for name, value in direction.items() if name in head}
