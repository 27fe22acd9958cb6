"""Optimizers over stacked parameters, equal to ``torch.optim`` step for step.

An optimizer asks for the gradient by calling ``add(into, weight)``, which adds weight · gradient to ``into``.
Plain SGD adds it straight to the parameters, so that the gradient is never stored.
"""

import dataclasses
from collections.abc import Callable

from torch import Tensor

from turncoat.direction import Params
from turncoat.models.stack import dot, zeros
from turncoat.recipe import Recipe

AddGradient = Callable[[Params, float], None]
Slots = dict[str, Params]  # what the optimizer remembers, by name; shaped like the parameters


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """``init(params) -> slots``; ``update(params, slots, step, add)`` works in place; ``step`` counts from 1.

    ``precondition(direction, slots, step)`` is the direction as the next step will scale it.
    """

    init: Callable[[Params], Slots]
    update: Callable[[Params, Slots, int, AddGradient], None]
    precondition: Callable[[Params, Slots, int], Params]


def sgd(learning_rate: float, momentum: float = 0.0, weight_decay: float = 0.0) -> Optimizer:
    """Stochastic gradient descent, as ``torch.optim.SGD`` without dampening or Nesterov."""

    def init(params: Params) -> Slots:
        return {"velocity": zeros(params)} if momentum else {}

    def plain(params: Params, slots: Slots, step: int, add: AddGradient) -> None:
        if weight_decay:
            # the gradient is taken at the old parameters, so it must be computed before they shrink
            gradient = zeros(params)
            add(gradient, 1.0)
            for name, value in params.items():
                value.mul_(1 - learning_rate * weight_decay).sub_(gradient[name], alpha=learning_rate)
        else:
            add(params, -learning_rate)

    def heavy(params: Params, slots: Slots, step: int, add: AddGradient) -> None:
        velocity = slots["velocity"]
        for name, value in velocity.items():
            value.mul_(momentum)
            if weight_decay:
                value.add_(params[name], alpha=weight_decay)
        add(velocity, 1.0)
        for name, value in params.items():
            value.sub_(velocity[name], alpha=learning_rate)

    return Optimizer(init, heavy if momentum else plain, lambda direction, slots, step: direction)


def adam(
    learning_rate: float,
    weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    decoupled: bool = False,
) -> Optimizer:
    """Adam (Kingma and Ba 2015), as ``torch.optim.Adam``; with ``decoupled`` weight decay as ``torch.optim.AdamW``.

    Decoupled decay (Loshchilov and Hutter 2019) shrinks the parameters themselves and is no part of the gradient.
    """
    first, second = betas

    def init(params: Params) -> Slots:
        return {"mean": zeros(params), "square": zeros(params)}

    def update(params: Params, slots: Slots, step: int, add: AddGradient) -> None:
        gradient = zeros(params)
        add(gradient, 1.0)
        for name, value in params.items():
            g = gradient[name]
            if weight_decay and decoupled:
                value.mul_(1 - learning_rate * weight_decay)
            elif weight_decay:
                g.add_(value, alpha=weight_decay)
            mean, square = slots["mean"][name], slots["square"][name]
            mean.lerp_(g, 1 - first)
            square.mul_(second).addcmul_(g, g, value=1 - second)
            spread = (square.sqrt() / (1 - second**step) ** 0.5).add_(eps)
            value.addcdiv_(mean, spread, value=-learning_rate / (1 - first**step))

    def precondition(direction: Params, slots: Slots, step: int) -> Params:
        if step <= 1:
            return direction

        def scale(name: str, value: Tensor) -> Tensor:
            spread = (slots["square"][name] / (1 - second ** (step - 1))).sqrt_().add_(eps)
            return value / spread

        return {name: scale(name, value) for name, value in direction.items()}

    return Optimizer(init, update, precondition)


def clipped(optimizer: Optimizer, most: float, axis: dict[str, int]) -> Optimizer:
    """The optimizer on gradients that are scaled down to this norm over all parameters, replica by replica.

    As ``torch.nn.utils.clip_grad_norm_``; ``axis`` says which axis of each parameter counts the replicas.
    """

    def update(params: Params, slots: Slots, step: int, add: AddGradient) -> None:
        gradient = zeros(params)
        add(gradient, 1.0)
        norms = dot(gradient, gradient, axis).sqrt_()
        share = (most / (norms + 1e-6)).clamp_(max=1)
        for name, g in gradient.items():
            g.mul_(share.view([-1 if i == axis[name] else 1 for i in range(g.ndim)]))

        def add_clipped(into: Params, weight: float) -> None:
            for name, g in gradient.items():
                into[name].add_(g, alpha=weight)

        optimizer.update(params, slots, step, add_clipped)

    return dataclasses.replace(optimizer, update=update)


def build(recipe: Recipe, axis: dict[str, int], each: int) -> Optimizer:
    """The recipe's optimizer, for parameters with such replica axes, in a training with ``each`` steps in an epoch."""

    def at(learning_rate: float) -> Optimizer:
        if recipe.optimizer == "sgd":
            return sgd(learning_rate, recipe.momentum, recipe.weight_decay)
        return adam(learning_rate, recipe.weight_decay, decoupled=recipe.optimizer == "adamw")

    found = at(recipe.learning_rate)
    if not recipe.constant:
        # what is remembered, and the scale that it gives, know of no rate
        found = dataclasses.replace(
            found,
            update=lambda params, slots, step, add: at(recipe.rate(step, each)).update(
                params, slots, step, add
            ),
        )
    return clipped(found, recipe.clip_norm, axis) if recipe.clip_norm else found
