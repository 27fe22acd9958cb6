"""The direction that the attacker wants the server's step to be anti-aligned with (Δ)."""

from torch import Tensor

Params = dict[str, Tensor]


def untargeted(honest_gradient: Params) -> Params:
    """Δ = -∇L of the honest data: the poisoned step should undo the honest one (paper B, section 2.3)."""
    return {name: -gradient for name, gradient in honest_gradient.items()}


def targeted(params: Params, target: Params) -> Params:
    """Δ = -(θ_target - θ): the poisoned step should lead to the target's parameters (paper B, section 2.3)."""
    return {name: params[name] - value for name, value in target.items()}
