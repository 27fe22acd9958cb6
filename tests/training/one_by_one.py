"""The slow oracle of the engine: one model at a time, float64, literal loops over examples and classes.

It shares with the engine the random draws (which are inputs) and nothing else. Optimizers are torch.optim's own,
macro F1 is scikit-learn's.
"""

import math

import numpy as np
import torch
from sklearn.metrics import f1_score

from turncoat.randomness import generator
from turncoat.threat import CLEAN


def permutation(seed, purpose, n):
    return torch.randperm(n, generator=generator(seed, *purpose)).numpy()


def logits(w, x):
    z = x @ w.T
    return np.hstack([np.zeros_like(z), z]) if z.shape[1] == 1 else z


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def gradient(w, x, y):
    """Mean gradient of the cross-entropy, example by example."""
    total = np.zeros_like(w)
    for xi, yi, p in zip(x, y, softmax(logits(w, x)), strict=True):
        if len(w) == 1:
            total[0] += (p[1] - yi) * xi
        else:
            for c in range(len(w)):
                total[c] += (p[c] - (yi == c)) * xi
    return total / max(1, len(x))


def label_values(w, x, direction):
    """Z[i, c]: what label c of example i adds to the objective, as the papers write it."""
    p = softmax(logits(w, x))
    if len(w) == 1:
        s = x @ direction[0]
        return np.stack([-p[:, 1] * s, (1 - p[:, 1]) * s], 1)
    values = np.zeros(p.shape)
    for i, xi in enumerate(x):
        for c in range(len(w)):
            values[i, c] = sum(((c == j) - p[i, j]) * (xi @ direction[j]) for j in range(len(w)))
    return values


def choose(rule, values, y, flips, draw):
    """New labels, one flip after the other."""
    new, classes = y.copy(), values.shape[1]
    if rule == "optimal":
        gains = [(values[i].min() - values[i, y[i]], i) for i in range(len(y))]
        for gain, i in sorted(gains)[:flips]:
            if gain < 0:
                new[i] = values[i].argmin()
    elif rule == "as_printed" and classes == 2:
        s = values[:, 1] - values[:, 0]
        for i in sorted(range(len(y)), key=lambda i: s[i])[:flips]:
            new[i] = 1 if s[i] < 0 else 0
    elif rule == "as_printed":
        for i in sorted(range(len(y)), key=lambda i: values[i].min())[:flips]:
            new[i] = values[i].argmin()
    elif rule == "random":
        numbers = torch.rand(len(y), 2, generator=draw, dtype=torch.float64).numpy()
        for i in sorted(range(len(y)), key=lambda i: numbers[i, 0])[:flips]:
            new[i] = (y[i] + 1 + math.floor(numbers[i, 1] * (classes - 1))) % classes
    elif rule == "cyclic":
        numbers = torch.rand(len(y), generator=draw).numpy()
        for i in sorted(range(len(y)), key=lambda i: numbers[i])[:flips]:
            new[i] = (y[i] + 1) % classes
    else:
        raise AssertionError(rule)
    return new


class Learner:
    """One model's parameters and torch's own optimizer around them."""

    def __init__(self, rows, d, recipe):
        self.weight = torch.zeros(rows, d, dtype=torch.float64)
        if recipe.optimizer == "adam":
            self.optimizer = torch.optim.Adam(
                [self.weight], lr=recipe.learning_rate, weight_decay=recipe.weight_decay
            )
        else:
            self.optimizer = torch.optim.SGD(
                [self.weight],
                lr=recipe.learning_rate,
                momentum=recipe.momentum,
                weight_decay=recipe.weight_decay,
            )

    @property
    def w(self):
        return self.weight.numpy()

    def step(self, slope):
        self.weight.grad = torch.from_numpy(slope.copy())
        self.optimizer.step()

    def preconditioned(self, direction):
        state = self.optimizer.state.get(self.weight)
        if not isinstance(self.optimizer, torch.optim.Adam) or not state:
            return direction
        square = state["exp_avg_sq"].numpy() / (1 - 0.999 ** float(state["step"]))
        return direction / (np.sqrt(square) + 1e-8)


def arrays(data, recipe, seed):
    x, x_test = (np.hstack([v.double().numpy(), np.ones((len(v), 1))]) for v in (data.x, data.x_test))
    y = data.y.numpy()
    held = 0
    if recipe.patience:
        order = permutation(seed, ("held out",), len(y))
        held = max(1, int(recipe.held_out * len(y)))
        x, y = x[order], y[order]
    return (x[held:], y[held:]), (x[:held], y[:held]), (x_test, data.y_test.numpy())


def loss(w, x, y):
    z = logits(w, x)
    top = z.max(1, keepdims=True)
    return float((np.log(np.exp(z - top).sum(1)) + top[:, 0] - z[np.arange(len(y)), y]).mean())


def train_one(data, threat, seed, recipe):
    """Curves (epochs, 7) and final parameters of one replica."""
    parts = arrays(data, recipe, seed)
    target, kept = None, None
    if threat.goal == "targeted" and not threat.is_clean:
        (x, y), (hx, hy), test = parts
        shifted = (x, (y + 1) % data.classes), (hx, (hy + 1) % data.classes), test
        target = _train(shifted, data.classes, CLEAN, seed, recipe)[1]
    if threat.schedule == "once":
        (x, y), _, _ = parts
        total = np.zeros((len(y), data.classes))

        def watch(w):
            toward = _direction(threat, w, gradient(w, x, y), target)
            total[:] += label_values(w, x, toward)

        _train(parts, data.classes, CLEAN, seed, recipe, watch=watch)
        own = permutation(seed, ("access", 0), len(y))[: threat.writable(len(y))]
        kept = y.copy()
        draw = generator(seed, "selection", 0)
        kept[own] = choose(threat.selection, total[own], y[own], threat.flips(len(y)), draw)
    return _train(parts, data.classes, threat, seed, recipe, target, kept)


def _direction(threat, w, honest, target):
    return -honest if threat.goal == "untargeted" else w - target


def _train(parts, classes, threat, seed, recipe, target=None, kept=None, watch=None):
    (x, y), (hx, hy), (x_test, y_test) = parts
    n, rows = len(y), 1 if classes == 2 else classes
    server, spy = Learner(rows, x.shape[1], recipe), Learner(rows, x.shape[1], recipe)
    curves, best, waited = [], math.inf, 0
    for epoch in range(recipe.epochs):
        if watch is not None:
            watch(server.w.copy())
        turn = epoch if threat.placement == "resampled" and kept is None else 0
        own = permutation(seed, ("access", turn), n)[: threat.writable(n)]
        labels, seen = y.copy(), []
        strikes = not threat.is_clean and epoch >= recipe.epochs - (threat.last_rounds or recipe.epochs)
        rounds = int(threat.schedule.removeprefix("epoch/")) if "/" in threat.schedule else 1
        batches = -(-n // recipe.batch_size)
        begins = [recipe.batch_size * (batches * i // rounds) for i in range(rounds)]
        order = permutation(seed, ("batches", epoch), n)
        for start in range(0, n, recipe.batch_size):
            if start in begins:
                number = epoch * rounds + begins.index(start)
                if rounds > 1 and threat.placement == "resampled":
                    own = permutation(seed, ("access", number), n)[: threat.writable(n)]
                labels = y.copy()
                if threat.schedule != "step" and strikes:
                    if kept is not None:
                        labels = kept.copy()
                    else:
                        labels[own] = _decide(server, spy, threat, x, y, own, target, seed, (number,))
                    told = _seen(server.w, threat, x, y, labels, target)
                    seen.append((1 / rounds, told[0] / rounds, *told[1:]))
            batch = order[start : start + recipe.batch_size]
            bx, by, bl = x[batch], y[batch], labels[batch]
            mine = np.isin(batch, own).nonzero()[0]
            if threat.schedule == "step" and strikes:
                if threat.placement == "resampled":
                    mine = np.arange(threat.writable(len(batch)))
                else:
                    rank = {int(row): place for place, row in enumerate(own)}
                    mine = np.array(sorted(mine, key=lambda i: rank[int(batch[i])]), dtype=int)
                bl = by.copy()
                bl[mine] = _decide(server, spy, threat, bx, by, mine, target, seed, (epoch, start))
                seen.append((len(batch) / n, *_seen(server.w, threat, bx, by, bl, target)))
            server.step(gradient(server.w, bx, bl))
            spy.step(gradient(spy.w, bx[mine], by[mine]))
        z = logits(server.w, x_test)
        guess = z.argmax(1)
        row = [
            float((guess == y_test).mean()),
            f1_score(y_test, guess, average="macro"),
            loss(server.w, x_test, y_test),
        ]
        counts = recipe.patience or epoch >= recipe.epochs - max(1, round(recipe.epochs / 10))
        learned = float((logits(server.w, x).argmax(1) == y).mean()) if counts else math.nan
        curves.append([*row, *_mean(seen), learned, np.nan, np.nan])  # one mode has no objectives in another
        if recipe.patience:
            held = loss(server.w, hx, hy)
            waited = 0 if held < best else waited + 1
            best = min(best, held)
            if waited >= recipe.patience:
                break
    return np.array(curves), server.w.copy()


def _mean(seen):
    if not seen:
        return [0.0, math.nan, math.nan, 1.0]
    share, flips, before, after, cosine = np.array(seen).T
    return [flips.sum(), (share * before).sum(), (share * after).sum(), (share * cosine).sum()]


def _decide(server, spy, threat, x, y, own, target, seed, turn):
    """The attacker's new labels of its rows ``own``."""
    eyes = spy if threat.knowledge == "surrogate" else server
    view = slice(None) if threat.knowledge == "omniscient" else own
    toward = _direction(threat, eyes.w, gradient(eyes.w, x[view], y[view]), target)
    if threat.aware:
        toward = eyes.preconditioned(toward)
    flips = math.floor(threat.local_budget * len(own) + 1e-9)
    values = label_values(eyes.w, x[own], toward)
    return choose(threat.selection, values, y[own], flips, generator(seed, "selection", *turn))


def _seen(w, threat, x, y, labels, target):
    honest, poisoned = gradient(w, x, y), gradient(w, x, labels)
    toward = _direction(threat, w, honest, target)
    across = (honest * poisoned).sum() / (np.linalg.norm(honest) * np.linalg.norm(poisoned))
    return (labels != y).sum(), -(honest * toward).sum(), -(poisoned * toward).sum(), across
