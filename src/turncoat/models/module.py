"""Any ``nn.Module`` as a stack of replicas, through ``torch.func``.

On a GPU the replicas run together by ``vmap``; on the CPU one after the other, which is faster there (batched
products and convolutions over many small weights are slower than one at a time) and holds less memory.
"""

import contextlib
import itertools
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call, vmap

from turncoat.direction import Params
from turncoat.errors import TurncoatError, reason
from turncoat.models.probe import fits, last_layer, refuse_at_sight, refuse_channels_last
from turncoat.models.scores import directional, lacks_forward_mode, plain_kernels
from turncoat.models.stack import Model, Pullback, TrainingMode, each
from turncoat.models.training_mode import forward as forward_in_training
from turncoat.models.training_mode import parts_at_rest, statistics, told

TILE = 8  # replicas whose activations are held at once, at most
HELD = 2 << 30  # bytes that these may take
CHUNK = 64  # examples, for each of them: what they make still fits the cache


def module_stack(
    name: str,
    make: Callable[[], nn.Module],
    example: Float[Tensor, "n d"],
    shape: tuple[int, ...],
    classes: int,
) -> Model:
    """The stack of the modules that ``make`` builds; examples reach them in their shape.

    Parameters that want no gradient, and buffers, are those of the first module for all seeds; but what parts such as
    BatchNorm keep of their batches is each replica's own, see ``training_mode``.

    Raises:
        TurncoatError: if the module does not fit (see ``probe.fits``), or the channels of images stand last.
    """
    refuse_channels_last(name, shape)

    def prepare(x: Tensor) -> Tensor:
        return x.reshape(len(x), *shape)

    module = seeded(make, 0)
    few = prepare(example)
    refuse_at_sight(name, module)  # before anything is called
    shield(module, few)
    parts = parts_at_rest(module, few)
    fits(name, module, few, classes)
    kept = statistics(module, parts)
    trained = tuple(key for key, p in module.named_parameters() if p.requires_grad)

    def init(generator: torch.Generator, replicas: int) -> Params:
        seed = int(torch.randint(2**62, (1,), generator=generator))
        new = seeded(make, seed)
        fresh = dict(new.named_parameters()) | dict(new.named_buffers())
        return {
            key: fresh[key].detach().unsqueeze(0).repeat(replicas, *(1,) * fresh[key].ndim)
            for key in (*trained, *kept)
        }

    call = stacked(functional(module))

    def logits(params: Params, x: Tensor) -> Tensor:
        return whole(call(_low(params, x), x))

    in_training = None
    if parts:
        in_training = TrainingMode(
            told(module, parts), lambda *given: forward_in_training(module, parts, kept, *given)
        )
    return Model(
        name=name,
        classes=classes,
        prepare=prepare,
        init=init,
        logits=logits,
        forward=lambda params, x: _forward(functional(module), kept, params, x),
        pullback=lambda params, x: _forward(functional(module), kept, params, x)[1],
        forward_own=lambda params, x: _forward(functional(module), kept, params, x, own=True),
        scores=lambda params, x, direction: _scores(functional(module), params, x, direction),
        hessian_product=lambda *given: _hessian_product(functional(module), kept, *given),
        replica_axis=dict.fromkeys((*trained, *kept), 0),
        statistics=kept,
        in_training=in_training,
        head=last_layer(module, lambda: module(few)),
        tile=max(1, min(TILE, HELD // (CHUNK * held(module, few)))),
        chunk=CHUNK,
    )


def shield(module: nn.Module, few: Tensor) -> None:
    """Give a module that writes to its input, as ``ReLU(inplace=True)`` does if it comes first, a copy every time."""
    given = few.clone()
    with contextlib.suppress(Exception), torch.no_grad(), torch.random.fork_rng(devices=[]):
        module(given)  # whether it takes the examples at all is tried later
    if not torch.equal(given, few):
        module.register_forward_pre_hook(lambda _, given: tuple(x.clone() for x in given))


def held(module: nn.Module, few: Tensor) -> int:
    """Bytes that a forward pass keeps of one example for the way back."""
    own = {value.untyped_storage().data_ptr() for value in (*module.parameters(), *module.buffers())}
    kept: dict[int, int] = {}

    def look(value: Tensor) -> Tensor:
        if value.untyped_storage().data_ptr() not in own:
            kept[value.data_ptr()] = value.nbytes
        return value

    with saved_tensors_hooks(look, lambda value: value), torch.enable_grad():
        out = module(few)
    del out  # held until here, so that no memory is counted as another's
    return max(1, sum(kept.values()) // len(few))


Call = Callable[[Params, Tensor], Tensor]  # one replica's logits (n, c)


def functional(module: nn.Module) -> Call:
    """The module as a function of its trained parameters; its buffers and other parameters stay as they are."""
    fixed = dict(module.named_buffers())
    fixed |= {name: p.detach() for name, p in module.named_parameters() if not p.requires_grad}

    def call(params: Params, x: Tensor) -> Tensor:
        here = {name: value.to(x.device) for name, value in fixed.items()}
        try:
            result: Tensor = functional_call(module, here | params, (x,))
        except Exception as error:
            if isinstance(error, TurncoatError | torch.OutOfMemoryError) or lacks_forward_mode(error):
                raise
            raise TurncoatError(
                f"the model fails on {len(x)} examples of shape {tuple(x.shape[1:])}: {reason(error)}"
            ) from error
        return result

    return call


def seeded(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Build a module whose default initialisation is drawn from ``seed``; the global generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return make()


def stacked(call: Call, own: bool = False) -> Call:
    """The same for a stack: logits (n, c, r); with ``own``, replica j sees x[j]."""

    def run(params: Params, x: Tensor) -> Tensor:
        if x.is_cuda:
            together: Tensor = vmap(call, (0, 0 if own else None), out_dims=2)(params, x)
            return together
        seen = x if own else itertools.repeat(x)
        return torch.stack([call(one, rows) for one, rows in zip(each(params), seen, strict=False)], 2)

    return run


def _forward(
    call: Call, kept: tuple[str, ...], params: Params, x: Tensor, own: bool = False
) -> tuple[Tensor, Pullback]:
    # copies: the caller may step the parameters in place before the last replica is pulled back
    if x.is_cuda:
        leaves, still = _leaves(params, kept, x.dtype)
        with torch.enable_grad():
            out = stacked(call, own)(leaves | still, x)
        return whole(out.detach()), lambda residual, into, weight: add_gradient(
            leaves, out, residual, into, weight
        )
    split = [_leaves(one, kept, x.dtype) for one in each(params)]
    with torch.enable_grad():
        outs = [call(leaf | still, x[j] if own else x) for j, (leaf, still) in enumerate(split)]

    def pull(residual: Tensor, into: Params, weight: float) -> None:
        for j, ((leaf, _), out) in enumerate(zip(split, outs, strict=True)):
            add_gradient(leaf, out, residual[:, :, j], {name: into[name][j] for name in leaf}, weight)

    return whole(torch.stack([out.detach() for out in outs], 2)), pull


def _leaves(params: Params, kept: tuple[str, ...], dtype: torch.dtype) -> tuple[Params, Params]:
    """Copies of which gradients are taken, in the numbers of a pass, and the statistics, which have none."""
    own = {name: v.detach() for name, v in params.items() if name not in kept}
    if dtype == torch.bfloat16:
        leaves = {name: v.to(dtype).requires_grad_() for name, v in own.items()}
    else:
        leaves = {name: v.clone().requires_grad_() for name, v in own.items()}
    return leaves, {name: params[name] for name in kept}


def _low(params: Params, x: Tensor) -> Params:
    """The parameters in bfloat16 where the features are; they stay as they are otherwise."""
    if x.dtype != torch.bfloat16:
        return params
    return {name: value.to(x.dtype) for name, value in params.items()}


def whole(values: Tensor) -> Tensor:
    """In float32 where a pass was in bfloat16."""
    return values.float() if values.dtype == torch.bfloat16 else values


def add_gradient(leaf: Params, out: Tensor, residual: Tensor, into: Params, weight: float) -> None:
    """Add weight times what pulls the residual of ``out`` back to the leaves to ``into``, in place."""
    found = torch.autograd.grad(out, list(leaf.values()), residual.to(out.dtype), allow_unused=True)
    for name, gradient in zip(leaf, found, strict=True):
        if gradient is not None:
            into[name].add_(gradient, alpha=weight)


def _scores(call: Call, params: Params, x: Tensor, direction: Params) -> Float[Tensor, "n c r"]:
    if x.is_cuda:  # in float32: a layer norm's statistics are, and its forward mode mixes them with the rest
        return directional(stacked(call), params, whole(x), direction)[1]
    params, direction = _low(params, x), _low(direction, x)
    pairs = zip(each(params), each(direction), strict=True)
    return whole(torch.stack([directional(call, one, x, toward)[1] for one, toward in pairs], 2))


def _hessian_product(
    call: Call,
    kept: tuple[str, ...],
    params: Params,
    x: Tensor,
    soft: Tensor,
    v: Params,
    into: Params,
    weight: float,
) -> None:
    """Reverse mode twice: the gradient of what the gradient is along ``v``."""
    for j, (one, along) in enumerate(zip(each(params), each(v), strict=True)):
        leaves, still = _leaves(one, kept, x.dtype)
        wanted = list(leaves.values())
        with torch.enable_grad(), plain_kernels():
            logits = call(leaves | still, x)
            loss = -(soft[:, :, j] * logits.log_softmax(1)).sum()
            slope = torch.autograd.grad(loss, wanted, create_graph=True, materialize_grads=True)
            inner = torch.stack(
                [(g * along[name]).sum() for name, g in zip(leaves, slope, strict=True)]
            ).sum()
            curved = torch.autograd.grad(inner, wanted, materialize_grads=True)
        for name, part in zip(leaves, curved, strict=True):
            into[name][j].add_(part, alpha=weight)
