"""Modules that act differently while they train, such as with BatchNorm or dropout: a stack's pass in that mode.

Steps are taken in training mode. Everything else, label scores among it, asks the module in evaluation mode, with the
statistics that it has kept by then: there an example's logits are its own. What such a module keeps of its batches are
parameters of the stack that no optimizer moves, so every replica has its own.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from turncoat.direction import Params
from turncoat.errors import TurncoatError, reason
from turncoat.models.modes import acting_parts
from turncoat.models.stack import Pullback

Make = Callable[[], nn.Module]


def parts_at_rest(module: nn.Module, few: Tensor) -> tuple[nn.Module, ...]:
    """Put the parts that act differently in training into evaluation mode, and return them."""

    def ask() -> Tensor:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            try:
                answer = module(few)
            except Exception:  # whoever builds the stack tells of it
                return torch.empty(0)
        told = isinstance(answer, Tensor) and bool(answer.isfinite().all())
        return answer if told else torch.empty(0)

    kept = {name: value.clone() for name, value in module.named_buffers()}
    parts = acting_parts(module, ask)
    with torch.no_grad():
        for name, value in module.named_buffers():
            value.copy_(kept[name])
    for part in parts:
        part.training = False
    return parts


def statistics(module: nn.Module, parts: Sequence[nn.Module]) -> tuple[str, ...]:
    """Names of the buffers of these parts, of which training writes some."""
    own = {id(value) for part in parts for value in part.buffers()}
    return tuple(name for name, value in module.named_buffers() if id(value) in own)


def told(module: nn.Module, parts: Sequence[nn.Module]) -> str:
    """Names and types of these parts, as a message quotes them."""
    names = {id(part): name for name, part in module.named_modules()}
    words = [f"{names[id(part)]!r} ({type(part).__name__})".removeprefix("'' ") for part in parts]
    return ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")


def forward(
    module: nn.Module,
    parts: Sequence[nn.Module],
    kept: tuple[str, ...],
    params: Params,
    x: Tensor,
    draws: Sequence[int],
    again: bool = False,
) -> tuple[Tensor, Pullback, Params]:
    """Logits (n, c, r) in training mode, how to pull a residual back, and the statistics after this batch.

    Replicas run one after the other, each with random numbers from a seed of its own. With ``again`` residuals may be
    pulled back more than once.

    Raises:
        TurncoatError: if the module fails on such a batch.
    """
    fixed = {name: value.to(x.device) for name, value in _fixed(module, params).items()}
    leaves, outs, fresh = [], [], []
    with _in_training(parts), torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
        for j, seed in enumerate(draws):
            leaf = {
                k: v[j].detach().clone().requires_grad_() for k, v in params.items() if k not in kept
            }  # copies: the caller may step the parameters in place before the last replica is pulled back
            own = fixed | leaf | {name: params[name][j].clone() for name in kept}
            (torch.cuda if x.is_cuda else torch.default_generator).manual_seed(seed)
            outs.append(_called(module, own, x))
            leaves.append(leaf)
            fresh.append({name: own[name] for name in kept})

    def pull(residual: Tensor, into: Params, weight: float) -> None:
        for j, (leaf, out) in enumerate(zip(leaves, outs, strict=True)):
            wanted = list(leaf.values())
            found = torch.autograd.grad(out, wanted, residual[:, :, j], retain_graph=again, allow_unused=True)
            for name, gradient in zip(leaf, found, strict=True):
                if gradient is not None:
                    into[name][j].add_(gradient, alpha=weight)

    after = {name: torch.stack([one[name].detach() for one in fresh]) for name in kept}
    return torch.stack([out.detach() for out in outs], 2), pull, after


def _fixed(module: nn.Module, params: Params) -> Params:
    everything = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: value.detach() for name, value in everything.items() if name not in params}


def _called(module: nn.Module, values: Params, x: Tensor) -> Tensor:
    try:
        with torch.enable_grad():
            result: Tensor = functional_call(module, values, (x,))
    except Exception as error:
        if isinstance(error, TurncoatError | torch.OutOfMemoryError):
            raise
        hint = "; set batch_size so that no batch has one example alone" if len(x) == 1 else ""
        raise TurncoatError(
            f"the model fails in training on {len(x)} examples of shape {tuple(x.shape[1:])}: {reason(error)}{hint}"
        ) from error
    return result


@contextlib.contextmanager
def _in_training(parts: Sequence[nn.Module]) -> Iterator[None]:
    try:
        for part in parts:
            part.training = True
        yield
    finally:
        for part in parts:
            part.training = False
