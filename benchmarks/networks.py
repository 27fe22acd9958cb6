"""Speed of networks: stacked training against a plain PyTorch loop, and what scoring costs beside a forward pass.

    python benchmarks/networks.py [--json]

All figures of a run are measured side by side, in turn, and the best of the repeats is kept. The shapes of the
perceptron are MNIST's: 784 features, 10 classes, 50 replicas, batches of 64 cut from data that is already in memory.
The convolutional network has 8 replicas, on images of MNIST's and of CIFAR-10's shape.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from told import options, tell
from turncoat import Recipe, Threat, from_arrays, models
from turncoat.losses import residual
from turncoat.models.products import has_bfloat16
from turncoat.models.stack import Model, expand
from turncoat.training import task
from turncoat.training.loop import begin_epoch
from turncoat.training.pooled import plain_step
from turncoat.training.stack import material, stack_run

REPLICAS, BATCH, EXAMPLES = 50, 64, 4096
TURN = 512  # rows of an attacker's turn
IMAGE_REPLICAS = 8
IMAGES = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
Timed = dict[str, tuple[Callable[[], object], int]]  # what to run, and by how much to divide its time


def data(shape: tuple[int, ...]):
    rng = np.random.default_rng(0)
    x = rng.random((EXAMPLES + 64, *shape), dtype=np.float32)
    return from_arrays(x, rng.integers(0, 10, len(x)), test_share=64 / len(x))


def tiles(model: Model, device: str, replicas: int = REPLICAS) -> Iterator[dict[str, torch.Tensor]]:
    """The stack as the engine trains it: as many replicas at once as the model asks for."""
    one = model.init(torch.Generator().manual_seed(0), 1)
    for start in range(0, replicas, model.tile):
        count = min(model.tile, replicas - start)
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


def convolutional(side: str, shape: tuple[int, int, int], device: str) -> Timed:
    """The stack of `cnn`, the loop, and another way to run a stack of it."""
    example = data(shape)
    model = models.build("cnn", example)
    x, y = model.prepare(example.x.to(device)), example.y.to(device)
    rows = torch.randperm(len(x))[:BATCH].to(device)
    labels = torch.randint(0, 10, (len(x), IMAGE_REPLICAS), dtype=torch.uint8).to(device)
    (params, *_) = tiles(model, device, IMAGE_REPLICAS)
    channels = params["first.weight"].shape[1]
    flat = 2 * channels * (shape[1] // 4) * (shape[2] // 4)

    def stacked() -> None:
        logits, pull = model.forward(params, x.index_select(0, rows))
        pull(residual(logits, labels.index_select(0, rows)), params, -1e-3 / BATCH)

    net = nn.Sequential(
        *(nn.Conv2d(shape[0], channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(channels, 2 * channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(flat, 10)),
    ).to(device)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)

    def loop() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
        optimizer.step()

    every = {k: v.detach().repeat(IMAGE_REPLICAS, *(1,) * v.ndim) for k, v in net.named_parameters()}

    def loss(own_params, inputs, own):
        return nn.functional.cross_entropy(functional_call(net, own_params, (inputs,)), own)

    slope = vmap(grad(loss), (0, None, 1))

    def mapped() -> None:
        for key, g in slope(every, x[rows], labels[rows].long()).items():
            every[key].sub_(g, alpha=1e-3)

    return {
        f"cnn_{side}_loop": (loop, 1),
        f"cnn_{side}_vmap": (mapped, IMAGE_REPLICAS),
        f"cnn_{side}_stack": (stacked, IMAGE_REPLICAS),
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


def turn(name: str, device: str, precision: str = "float32") -> Timed:
    """An attacker's turn that may write to all rows and flips a quarter, and an epoch of training, on CIFAR's shape."""
    every = data(IMAGES["cifar10"])
    some = dataclasses.replace(every, x=every.x[:TURN], y=every.y[:TURN])
    made = material(models.build(name, some), some, device)
    recipe = Recipe(epochs=1, batch_size=BATCH, precision=precision)
    run = stack_run(made, recipe, 0, (Threat(1.0, 0.25),))
    state = task.start(run.task)
    begin_epoch(run.task, state)
    rows = torch.randperm(TURN, generator=torch.Generator().manual_seed(0)).to(device)

    def epoch() -> None:
        for few in rows.split(BATCH):
            plain_step(run.task, state, few)

    return {
        f"{name}_{precision}_attack": (lambda: begin_epoch(run.task, state), TURN),
        f"{name}_{precision}_epoch": (epoch, TURN),
    }


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
    timed = scoring("mlp", (1, 28, 28), device)
    timed |= scoring("cnn", (3, 32, 32), device) | scoring("vit", (3, 32, 32), device)
    passes = best(timed, max(3, repeats // 3), device)
    transformer = turn("vit", device)
    low = device != "cpu" or has_bfloat16(torch.device(device))
    transformer |= turn("vit", device, "bfloat16") if low else {}
    turns = best(turn("cnn", device), 3, device) | best(transformer, 3, device)
    for side, shape in IMAGES.items():
        steps |= best(convolutional(side, shape, device), max(3, repeats // 6), device)
    return {
        "mlp_loop_us": steps["loop"],
        "mlp_vmap_us": steps["vmap"],
        "mlp_stack_us": steps["stack"],
        "mlp_products_us": steps["products"],
        "mlp_speedup_over_loop": steps["loop"] / steps["stack"],
        "mlp_speedup_of_products_alone": steps["loop"] / steps["products"],
        "mlp_share_of_matmul_speed": steps["products"] / steps["stack"],
        "mlp_scores_over_forward": passes["mlp_scores"] / passes["mlp_forward"],
        "cnn_scores_over_forward": passes["cnn_scores"] / passes["cnn_forward"],
        "vit_scores_over_forward": passes["vit_scores"] / passes["vit_forward"],
        "vit_forward_us": passes["vit_forward"],
        **{
            f"{name}_attack_over_epoch": turns[f"{name}_float32_attack"] / turns[f"{name}_float32_epoch"]
            for name in ("cnn", "vit")
        },
        **(in_bfloat16(turns) if low else {}),
        **{f"{name}_us": value for name, value in steps.items() if name.startswith("cnn")},
        **{
            f"cnn_{side}_speedup_over_{other}": steps[f"cnn_{side}_{other}"] / steps[f"cnn_{side}_stack"]
            for side in IMAGES
            for other in ("loop", "vmap")
        },
    }


def in_bfloat16(turns: dict[str, float]) -> dict[str, float]:
    """The transformer in bfloat16 against itself and against float32."""
    attack, epoch = (turns[f"vit_bfloat16_{part}"] for part in ("attack", "epoch"))
    return {
        "vit_bf16_attack_over_epoch": attack / epoch,
        "vit_bf16_attack_over_f32_epoch": attack / turns["vit_float32_epoch"],
        "vit_bf16_over_f32_attack": turns["vit_float32_attack"] / attack,
        "vit_bf16_over_f32_epoch": turns["vit_float32_epoch"] / epoch,
    }


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--repeats", type=int, default=30)
    given = parser.parse_args()
    figures: dict[str, object] = {"threads": torch.get_num_threads(), **measure(given.repeats, "cpu")}
    if torch.cuda.is_available():
        figures |= {f"cuda_{k}": v for k, v in measure(given.repeats, "cuda").items()}
        figures["cuda_device"] = torch.cuda.get_device_name()
    tell(figures, given.json)


if __name__ == "__main__":
    main()
