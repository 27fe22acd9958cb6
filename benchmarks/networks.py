"""Speed of networks: stacked training against a plain PyTorch loop, and what scoring costs beside a forward pass.

    python benchmarks/networks.py [--json]

All figures of a run are measured side by side, in turn, and the best of the repeats is kept. The shapes are
MNIST's: 784 features, 10 classes, 50 replicas, batches of 64 cut from data that is already in memory.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from turncoat import from_arrays, models
from turncoat.losses import residual
from turncoat.models.stack import Model, expand

REPLICAS, BATCH, EXAMPLES = 50, 64, 4096
Timed = dict[str, tuple[Callable[[], object], int]]  # what to run, and by how much to divide its time


def data(shape: tuple[int, ...]):
    rng = np.random.default_rng(0)
    x = rng.random((EXAMPLES + 64, *shape), dtype=np.float32)
    return from_arrays(x, rng.integers(0, 10, len(x)), test_share=64 / len(x))


def tiles(model: Model, device: str) -> Iterator[dict[str, torch.Tensor]]:
    """The stack as the engine trains it: as many replicas at once as the model asks for."""
    one = model.init(torch.Generator().manual_seed(0), 1)
    for start in range(0, REPLICAS, model.tile):
        count = min(model.tile, REPLICAS - start)
        yield {k: v.to(device) for k, v in expand(one, count, model.replica_axis).items()}


def training(device: str) -> Timed:
    example = data((1, 28, 28))
    model = models.build("mlp", example)
    flat, y = example.x.to(device), example.y.to(device)
    x = model.prepare(flat)
    rows = torch.randperm(len(x))[:BATCH].to(device)
    labels = torch.randint(0, 10, (len(x), REPLICAS), dtype=torch.uint8).to(device)
    stacks = list(tiles(model, device))

    def stacked() -> None:
        for params in stacks:
            replicas = params["hidden"].shape[0]
            logits, pull = model.forward(params, x.index_select(0, rows))
            pull(residual(logits, labels[:, :replicas].index_select(0, rows)), params, -1e-3 / BATCH)

    net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)).to(device)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)

    def loop() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(flat[rows]), y[rows]).backward()
        optimizer.step()

    every = {k: v.detach().repeat(REPLICAS, *(1,) * v.ndim) for k, v in net.named_parameters()}

    def loss(params, inputs, own):
        return nn.functional.cross_entropy(functional_call(net, params, (inputs,)), own)

    slope = vmap(grad(loss), (0, None, 1))

    def mapped() -> None:
        for key, g in slope(every, flat[rows], labels[rows].long()).items():
            every[key].sub_(g, alpha=1e-3)

    return {
        "loop": (loop, 1),
        "vmap": (mapped, REPLICAS),
        "stack": (stacked, REPLICAS),
        "products": (products(stacks, x[rows]), REPLICAS),
    }


def products(stacks: list, x: torch.Tensor) -> Callable[[], None]:
    """The matrix products of a step and nothing else."""
    stacks = [{k: v.clone() for k, v in s.items()} for s in stacks]
    rest = [torch.zeros(len(s["hidden"]), 10, len(x), device=x.device) for s in stacks]

    def run() -> None:
        for params, r in zip(stacks, rest, strict=True):
            hidden, weight = params["hidden"].flatten(0, 1), params["weight"]
            active = torch.mm(hidden, x.T).view(len(weight), -1, len(x))
            torch.bmm(weight, active)
            back = torch.bmm(weight.transpose(1, 2), r)
            weight.baddbmm_(r, active.transpose(1, 2), alpha=-1e-9)
            hidden.addmm_(back.flatten(0, 1), x, alpha=-1e-9)

    return run


def scoring(name: str, shape: tuple[int, ...], device: str) -> Timed:
    example = data(shape)
    model = models.build(name, example)
    params = {k: v.to(device) for k, v in model.init(torch.Generator().manual_seed(0), 1).items()}
    draw = torch.Generator().manual_seed(1)
    toward = {k: torch.randn(v.shape, generator=draw).to(device) for k, v in params.items()}
    parts = model.prepare(example.x.to(device))[: EXAMPLES if name == "mlp" else 512].split(model.chunk)

    def forward() -> None:
        with torch.no_grad():
            for part in parts:
                model.logits(params, part)

    def scores() -> None:
        for part in parts:
            model.scores(params, part, toward)

    count = sum(len(part) for part in parts)
    return {f"{name}_forward": (forward, count), f"{name}_scores": (scores, count)}


def best(timed: Timed, repeats: int, device: str) -> dict[str, float]:
    """Microseconds per replica-step or example, the best of ``repeats`` rounds in which all take turns."""
    found = dict.fromkeys(timed, float("inf"))
    for turn in range(repeats + 1):
        for name, (run, share) in timed.items():
            times = max(1, 50 // share) if share <= 50 else 1
            if device != "cpu":
                torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(times):
                run()
            if device != "cpu":
                torch.cuda.synchronize()
            if turn:  # the first round warms up
                found[name] = min(found[name], (time.perf_counter() - start) / times / share * 1e6)
    return found


def measure(repeats: int, device: str) -> dict[str, float]:
    steps = best(training(device), repeats, device)
    timed = scoring("mlp", (1, 28, 28), device) | scoring("vit", (3, 32, 32), device)
    passes = best(timed, max(3, repeats // 3), device)
    return {
        "mlp_loop_us": steps["loop"],
        "mlp_vmap_us": steps["vmap"],
        "mlp_stack_us": steps["stack"],
        "mlp_products_us": steps["products"],
        "mlp_speedup_over_loop": steps["loop"] / steps["stack"],
        "mlp_speedup_of_products_alone": steps["loop"] / steps["products"],
        "mlp_share_of_matmul_speed": steps["products"] / steps["stack"],
        "mlp_scores_over_forward": passes["mlp_scores"] / passes["mlp_forward"],
        "vit_scores_over_forward": passes["vit_scores"] / passes["vit_forward"],
        "vit_forward_us": passes["vit_forward"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repeats", type=int, default=30)
    given = parser.parse_args()
    figures: dict[str, object] = {"threads": torch.get_num_threads(), **measure(given.repeats, "cpu")}
    if torch.cuda.is_available():
        figures |= {f"cuda_{k}": v for k, v in measure(given.repeats, "cuda").items()}
        figures["cuda_device"] = torch.cuda.get_device_name()
    if given.json:
        print(json.dumps(figures, indent=2))
    else:
        for name, value in figures.items():
            print(f"{name:32} {value:10.2f}" if isinstance(value, float) else f"{name:32} {value:>10}")


if __name__ == "__main__":
    main()
