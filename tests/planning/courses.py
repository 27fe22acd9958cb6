"""Small courses for the tests of planning, and the same training written out in plain autograd."""

import dataclasses

import torch

from turncoat import models
from turncoat.planning.aim import aim_of
from turncoat.planning.course import Course
from turncoat.randomness import generator


def course(data, name="logistic", steps=12, phases=3, goal="untargeted", rate=0.3, decay=0.0, scaled=False):
    """A course in float64, with looks after the last steps."""
    model = models.build(name, data)
    x = model.prepare(data.x.double())
    start = {key: value.double() for key, value in model.init(generator(3, "init"), 1).items()}
    scale = None
    if scaled:
        scale = {
            key: torch.rand(value.shape, dtype=torch.float64).clamp(min=0.3) for key, value in start.items()
        }
    return Course(
        model=model,
        x=x,
        y=data.y,
        aim=aim_of(data.y, data.classes, goal, 4.0),
        start=start,
        rate=rate,
        phase_of=tuple(t * phases // steps for t in range(steps)),
        looks={steps: 0.5, steps - 3: 0.3, steps - 4: 0.2},
        weight_decay=decay,
        scale=scale,
    )


def objective(here: Course, soft):
    """The aim of one replica's training on soft labels (phases, n, c), through which autograd can go."""
    axis = here.model.replica_axis
    params = {name: value.clone().requires_grad_() for name, value in here.start.items()}

    def logits(params):
        return here.model.logits(params, here.x)[:, :, 0]

    total = 0.0
    for step, phase in enumerate(here.phase_of, 1):
        loss = -(soft[phase] * logits(params).log_softmax(1)).sum(1).mean()
        slopes = torch.autograd.grad(loss, list(params.values()), create_graph=True)
        moved = {}
        for (name, value), slope in zip(params.items(), slopes, strict=True):
            scale = 1.0 if here.scale is None else here.scale[name]
            moved[name] = value - here.rate * scale * (slope + here.weight_decay * value)
        params = moved
        if weight := here.looks.get(step):
            held = (here.aim.sharpness * logits(params)).softmax(1).gather(1, here.aim.labels.unsqueeze(1))
            total = total + weight * here.aim.sign * held.mean()
    assert axis
    return total


def random_labels(here: Course, replicas=1, seed=0):
    """Soft labels (phases, n, c, r)."""
    draw = torch.Generator().manual_seed(seed)
    shape = (here.phases, len(here.y), here.model.classes, replicas)
    return torch.rand(shape, generator=draw, dtype=torch.float64).softmax(2)


def kept_few(here: Course, monkeypatch):
    """Make the course keep few parameters, so that the others are computed again."""
    from turncoat.planning import costates

    monkeypatch.setattr(costates, "KEPT", 0)
    return dataclasses.replace(here)
