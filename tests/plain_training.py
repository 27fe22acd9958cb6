"""A recipe's steps as PyTorch takes them: its own optimizers, schedulers and clipping."""

import warnings

import torch
from torch.optim import lr_scheduler as schedulers


class Steps:
    """One model's training; ``take()`` is called where its parameters have their gradients."""

    def __init__(self, parameters, recipe, each):
        self.parameters, self.recipe = list(parameters), recipe
        kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        extra = {"momentum": recipe.momentum} if recipe.optimizer == "sgd" else {}
        self.optimizer = kinds[recipe.optimizer](
            self.parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, **extra
        )
        self.schedule = scheduler(self.optimizer, recipe, each)

    def take(self):
        if self.recipe.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        with warnings.catch_warnings():  # torch's own schedulers call each other in a way that they warn of
            warnings.simplefilter("ignore")
            self.schedule.step()


def scheduler(optimizer, recipe, each):
    rising, whole = recipe.warmup * each, recipe.epochs * each
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warm = schedulers.LinearLR(optimizer, 1 / max(1, rising), total_iters=max(1, rising - 1))
        if recipe.lr_schedule == "cosine":
            fall = schedulers.CosineAnnealingLR(optimizer, whole - rising)
            return schedulers.SequentialLR(optimizer, [warm, fall], [rising]) if rising else fall
        _, *rest = recipe.lr_schedule.split(":")
        ends, factor = (rest[0].split(","), float(rest[1])) if rest else ([], 1.0)
        steps = schedulers.MultiStepLR(optimizer, [int(end) * each for end in ends], factor)
        return schedulers.ChainedScheduler([warm, steps] if rising else [steps])
