"""A module of one's own as a function of its parameters, in evaluation mode or as it trains, left exactly as it was."""

import contextlib
import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parameter import is_lazy

from turncoat.attack import inputs
from turncoat.attack.inputs import Inputs
from turncoat.direction import Params
from turncoat.errors import TurncoatError, reason, shown
from turncoat.models.scores import lacks_forward_mode, plain_kernels


@dataclasses.dataclass(frozen=True)
class Body:
    """What a module is made of, without its gradients, and in which mode its parts were found."""

    module: nn.Module
    params: Params  # those that train
    fixed: Params  # the others
    buffers: Params
    modes: dict[nn.Module, bool]

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(iter(self.params.values())).device

    def __call__(self, values: Params, x: Inputs) -> Tensor:
        """What the module makes of these parameters and examples, in the mode in which it is now.

        Raises:
            TurncoatError: if it fails.
        """
        copies = {name: value.clone() for name, value in self.buffers.items()}  # it may write to its buffers
        try:
            result = functional_call(self.module, self.fixed | copies | values, *inputs.arguments(x))
        except Exception as error:
            if isinstance(error, TurncoatError | torch.OutOfMemoryError) or lacks_forward_mode(error):
                raise
            raise TurncoatError(self._failure(error, x)) from error
        if not isinstance(result, Tensor):
            raise TurncoatError(
                f"the module returns {type(result).__name__}, but must return one tensor (n, c): one row of class"
                " logits per example"
            )
        return result

    def _failure(self, error: Exception, x: Inputs) -> str:
        own = next(iter(self.params.values())).dtype
        other = [(name, part.dtype) for name, part in inputs.leaves(x) if part.dtype != own]
        if "dtype" in str(error) and len(other) == 1:
            name, dtype = other[0]
            return f"{name} is {dtype}, which the module does not take: try {name}.to({own})"
        return f"the module does not take examples of shape {inputs.shapes(x)}: {reason(error)}"


@contextlib.contextmanager
def at_rest(module: nn.Module) -> Iterator[Body]:
    """The module in evaluation mode; modes and random state are put back.

    Raises:
        TurncoatError: if it is no module, has nothing to train, or parameters that have no shape yet.
    """
    body = _body(module)
    devices = {p.device for p in body.params.values() if p.is_cuda}
    try:
        module.eval()
        with torch.random.fork_rng(devices=devices), plain_kernels():
            yield body
    finally:
        for part, mode in body.modes.items():
            part.training = mode


@contextlib.contextmanager
def as_trained(body: Body) -> Iterator[None]:
    """Within ``at_rest``: the modes in which the module trains, and the same draws of dropout each time.

    A module that came in evaluation mode trains with all its parts in training mode, as after ``train()``.
    """
    devices = {p.device for p in body.params.values() if p.is_cuda}
    try:
        if body.modes[body.module]:
            for part, mode in body.modes.items():
                part.training = mode
        else:
            body.module.train()
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(0)
            yield
    finally:
        body.module.eval()


def _body(module: nn.Module) -> Body:
    if not isinstance(module, nn.Module):
        raise TurncoatError(f"module is {shown(module)}, but must be a torch.nn.Module")
    lazy = [name for name, value in (*module.named_parameters(), *module.named_buffers()) if is_lazy(value)]
    if lazy:
        raise TurncoatError(
            f"the module's {lazy[0]!r} has no shape before its first call: call module(x[:2]) once, then score it"
        )
    body = Body(
        module=module,
        params={name: p.detach() for name, p in module.named_parameters() if p.requires_grad},
        fixed={name: p.detach() for name, p in module.named_parameters() if not p.requires_grad},
        buffers={name: value.detach() for name, value in module.named_buffers()},
        modes={part: part.training for part in module.modules()},
    )
    if not body.params:
        raise TurncoatError("the module has no trainable parameters, so its step has no direction")
    return body
