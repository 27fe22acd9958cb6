"""What is learned: digits, dealt out as in turncoat's own federation, and a softmax regression."""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from turncoat import load, metrics
from turncoat.federation.partition import deal
from turncoat.randomness import generator

CLIENTS = 10
FEATURES, CLASSES = 64, 10


def make() -> nn.Module:
    """A softmax regression that starts at zero."""
    model = nn.Linear(FEATURES, CLASSES)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    return model


@lru_cache(maxsize=CLIENTS)
def shard(client: int, partition: str, seed: int) -> TensorDataset:
    """The examples of one client."""
    data = load("digits")
    rows = deal(data.y, CLIENTS, partition, generator(seed, "partition"))[client]
    return TensorDataset(data.x[rows], data.y[rows])


def train(model: nn.Module, loader, rate: float) -> None:
    """One pass over the client's examples."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    for x, y in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


@torch.no_grad()
def test(model: nn.Module) -> dict[str, float]:
    """Accuracy, macro F1 and loss on the test set."""
    data = load("digits")
    logits: Tensor = model(data.x_test)
    counts = metrics.confusion(logits.argmax(1, keepdim=True), data.y_test, CLASSES)
    return {
        "accuracy": float(metrics.accuracy(counts)),
        "macro_f1": float(metrics.macro_f1(counts)),
        "loss": float(nn.functional.cross_entropy(logits, data.y_test)),
    }
