"""Products of a step, in the numbers that its features come in.

Features in the parameters' own numbers make plain products. Features in bfloat16 make products in bfloat16: the
processor sums them up in float32 and rounds once at their end, and what they are added to stays as it is.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from turncoat.errors import TurncoatError
from turncoat.precision import FLOAT32


def product(a: Float[Tensor, "i j"], b: Float[Tensor, "j k"]) -> Float[Tensor, "i k"]:
    """a·b, in float32 where either is in bfloat16."""
    if a.dtype == b.dtype != torch.bfloat16:
        return a @ b
    return (a.to(torch.bfloat16) @ b.to(torch.bfloat16)).float()


def add_product(
    into: Float[Tensor, "i k"], a: Float[Tensor, "i j"], b: Float[Tensor, "j k"], weight: float
) -> None:
    """Add weight · a·b to ``into``, in place."""
    if into.dtype == a.dtype == b.dtype:
        into.addmm_(a, b, alpha=weight)
    else:  # the product is rounded, then weighed and added in float32
        into.add_(a.to(torch.bfloat16) @ b.to(torch.bfloat16), alpha=weight)


def among(x: Float[Tensor, "s b d"], step: int) -> Float[Tensor, "b t"]:
    """The products of a batch's rows with those of all batches before it, in the numbers of ``x``."""
    return x[step] @ x[:step].flatten(0, 1).T


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for products in bfloat16: without them they are slower than in float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    own = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.backends.mkldnn.is_available() and own


def refuse(precision: str, device: torch.device) -> None:
    """Accept a precision on a device.

    Raises:
        TurncoatError: for products in bfloat16 on one that has none.
    """
    if precision == FLOAT32 or has_bfloat16(device):
        return
    raise TurncoatError(
        f"precision is {precision!r}, but this {'GPU' if device.type == 'cuda' else 'processor'} has no"
        " products in bfloat16, as those with AVX-512 BF16 or AMX and GPUs from CUDA 8.0 on do: leave precision out"
    )
