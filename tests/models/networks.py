"""Factories of one's own, for ``networks:NAME``."""

import torch
from torch import nn


def convolutions(shape, classes):
    return nn.Sequential(
        nn.Conv2d(shape[0], 4, 3, padding=1),
        nn.GroupNorm(2, 4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * (shape[1] // 2) * (shape[2] // 2), classes),
    )


class Frozen(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.register_buffer("shift", torch.ones(1))
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(features, 6), nn.Tanh()).requires_grad_(False)
        self.head = nn.Linear(6, classes)

    def forward(self, x):
        return self.head(self.body(x) + self.shift)


frozen = Frozen
number = 3


def not_a_module(classes):
    return classes


def broken(**offered):
    raise RuntimeError(f"no weights for {sorted(offered)}\nand more lines")


def flat(features):
    return nn.Linear(features, 5)


def batch_norm(classes, features):
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(features), nn.Linear(features, classes))


def dropout(classes, features):
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(features, classes))


class Mixer(nn.Module):
    def __init__(self, features, classes, noise=0.0):
        super().__init__()
        self.noise = noise
        self.head = nn.Linear(features, classes)

    def forward(self, x):
        x = x.flatten(1)
        return self.head(x - x.mean(0) if not self.noise else x + torch.randn_like(x))


def mixer(features, classes):
    return Mixer(features, classes)


def noisy(features, classes):
    return Mixer(features, classes, noise=1.0)


class Counter(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))
        self.head = nn.Linear(features, classes)

    def forward(self, x):
        self.seen += len(x)
        return self.head(x.flatten(1))


def nothing():
    return nn.Flatten()


def pixels(classes):
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))


def normed(shape, classes):
    return nn.Sequential(
        nn.Conv2d(shape[0], 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * (shape[1] // 2) * (shape[2] // 2), 12, bias=False),
        nn.BatchNorm1d(12, momentum=None),
        nn.Dropout(0.3),
        nn.Linear(12, classes),
    )


class OwnMode(nn.Module):
    """Layers of one's own, known by no type: a running mean that is bound anew, and dropout as a function."""

    def __init__(self, features, classes):
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.head = nn.Linear(features, classes)

    def forward(self, x):
        x = x.flatten(1)
        if self.training:
            self.mean = 0.8 * self.mean + 0.2 * x.detach().mean(0)
            self.seen = self.seen + len(x)
            x = x - x.mean(0)
        else:
            x = x - self.mean
        return self.head(nn.functional.dropout(x, 0.2, self.training))


own_mode = OwnMode


def of_the_batch(features, classes):
    return nn.Sequential(
        nn.Flatten(), nn.BatchNorm1d(features, track_running_stats=False), nn.Linear(features, classes)
    )


def resting(features, classes):
    net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(features), nn.Linear(features, classes))
    net[1].eval()
    return net
