"""Optimizers over stacked parameters, equal to ``torch.optim`` step for step.

An optimizer asks for the gradient by calling ``add(into, weight)``, which adds weight · gradient to ``into``.
Plain SGD adds it straight to the parameters, so that the gradient is never stored.
"""

import dataclasses
from collections.abc import Callable

from torch import Tensor

from turncoat.direction import Params
from turncoat.models.stack import zeros
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
) -> Optimizer:
    """Adam (Kingma and Ba 2015), as ``torch.optim.Adam``."""
    first, second = betas

    def init(params: Params) -> Slots:
        return {"mean": zeros(params), "square": zeros(params)}

    def update(params: Params, slots: Slots, step: int, add: AddGradient) -> None:
        gradient = zeros(params)
        add(gradient, 1.0)
        for name, value in params.items():
            g = gradient[name].add_(value, alpha=weight_decay) if weight_decay else gradient[name]
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


def build(recipe: Recipe) -> Optimizer:
    """The recipe's optimizer."""
    if recipe.optimizer == "adam":
        return adam(recipe.learning_rate, recipe.weight_decay)
    return sgd(recipe.learning_rate, recipe.momentum, recipe.weight_decay)
