"""A federation's step, all replicas and workers at once, against a plain loop over workers for one replica.

Softmax regression of MNIST's shape, 10 workers with batches of 64, trimmed mean, 20 replicas. The plain loop is what
one would write first: a linear layer, autograd once per worker, messages stacked, a sort along the workers.
"""

from collections.abc import Callable

import torch
from torch import nn

from turncoat import Recipe, Threat
from turncoat.federation import Federation
from turncoat.federation.threats import placed_in
from turncoat.models.logistic import logistic
from turncoat.training.stack import Material, stack_run

WORKERS, HOSTILE, BATCH, REPLICAS = 10, 2, 64, 20
FEATURES, CLASSES = 784, 10
EXAMPLES = 60_000
RATE = 0.01
WANTED = 10.0
"""Times as many steps per second and replica as the loop."""


def calls() -> dict[str, Callable[[], object]]:
    """One step of the stack, and one of the loop, on the same examples."""
    make = torch.Generator().manual_seed(0)
    x = torch.rand(EXAMPLES, FEATURES, generator=make)
    y = torch.randint(CLASSES, (EXAMPLES,), generator=make)
    return {"ours": ours(x, y), "plain": plain(x, y)}


def ours(x: torch.Tensor, y: torch.Tensor) -> Callable[[], object]:
    model = logistic(FEATURES, CLASSES)
    data = Material(model, model.prepare(x), y, model.prepare(x[:100]), y[:100])
    federation = Federation(workers=WORKERS, hostile=HOSTILE, aggregator="trimmed_mean")
    recipe = Recipe(epochs=200, batch_size=BATCH, learning_rate=RATE)
    budgets = torch.linspace(0.05, 1, REPLICAS).tolist()
    threats = tuple(placed_in(federation, Threat(local_budget=b), recipe) for b in budgets)
    steps = stack_run(data, recipe, 0, threats, federation).advance()
    return lambda: next(steps)


def plain(x: torch.Tensor, y: torch.Tensor) -> Callable[[], object]:
    layer = nn.Linear(FEATURES, CLASSES)
    parameters = list(layer.parameters())
    shards = torch.arange(EXAMPLES).view(WORKERS, -1)
    at = 0

    def step() -> None:
        nonlocal at
        at = (at + BATCH) % (shards.shape[1] - BATCH)
        messages = []
        for shard in shards:
            rows = shard[at : at + BATCH]
            loss = nn.functional.cross_entropy(layer(x[rows]), y[rows])
            slopes = torch.autograd.grad(loss, parameters)
            messages.append(torch.cat([slope.flatten() for slope in slopes]))
        ordered = torch.stack(messages).sort(0).values
        update = ordered[HOSTILE : WORKERS - HOSTILE].mean(0)
        with torch.no_grad():
            start = 0
            for value in parameters:
                value.sub_(update[start : start + value.numel()].view_as(value), alpha=RATE)
                start += value.numel()

    return step


def summary(times: dict[str, float]) -> dict[str, float | int | bool]:
    """Steps per second and replica on both sides, from milliseconds per call."""
    ratio = REPLICAS * times["plain_ms"] / times["ours_ms"]
    return {
        "workers": WORKERS,
        "batch": BATCH,
        "replicas": REPLICAS,
        "ours_steps_per_second_per_stack": 1000 / times["ours_ms"],
        "ours_replica_steps_per_second": REPLICAS * 1000 / times["ours_ms"],
        "plain_steps_per_second": 1000 / times["plain_ms"],
        "ratio": ratio,
        "wanted": WANTED,
        "met": ratio >= WANTED,
    }
