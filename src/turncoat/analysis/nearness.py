"""How near label flips come to gradient attacks: the messages a trained model's hostile workers can send."""

from collections.abc import Sequence

import pandas as pd
import torch

from turncoat import errors, models
from turncoat.analysis import given
from turncoat.data.dataset import Dataset
from turncoat.direction import Params
from turncoat.federation.federation import Federation
from turncoat.federation.imitation import Nearest, nearest, wanted_message
from turncoat.federation.names import IMITATED, imitated
from turncoat.models.stack import expand
from turncoat.randomness import generator
from turncoat.recipe import Recipe
from turncoat.threat import CLEAN, Threat
from turncoat.training.run import StackRun
from turncoat.training.stack import material, stack_run
from turncoat.training.task import Task


@errors.known_arguments
def nearness(
    dataset: Dataset,
    federation: Federation,
    model: str = "logistic",
    recipe: Recipe = Recipe(),  # noqa: B008 - frozen
    attacks: Sequence[str] = IMITATED,
    budgets: float | Sequence[float] = (0.1, 0.3, 1.0),
    seed: int = 0,
) -> pd.DataFrame:
    """A row per attack, local budget and hostile worker: how near its flips come, after honest training.

    ``cosine`` is that between the nearest message and the attack's. ``distance`` is theirs over the attack's norm,
    ``bound`` what no flips within the budget come below, ``honest`` the distance without any flip.

    Raises:
        TurncoatError: for what ``train`` refuses, an attack that is none to imitate, or no hostile or honest worker.
    """
    given.check(dataset, recipe, federation, None)
    if not 0 < federation.hostile < federation.workers:
        raise errors.TurncoatError(
            "nearness compares hostile workers with honest ones: give a federation of both, such as"
            " Federation(workers=10, hostile=2)"
        )
    chosen = [imitated(f"imitate:{attack}") or "" for attack in attacks]
    shares = errors.shares(budgets, "budget")
    task, params = _trained(dataset, federation, model, recipe, seed)
    pool = task.way.pool(task, (CLEAN,), 0)
    assert pool.blocks is not None
    honest, own = (
        [(task.x[pool.order[start:stop]], task.y[pool.order[start:stop]]) for start, stop in places]
        for places in (pool.honest, pool.blocks)
    )
    stack = expand(params, len(shares), task.model.replica_axis)
    rows = []
    for attack in chosen:
        draw = generator(seed, "nearness", IMITATED.index(attack))
        wanted = wanted_message(attack, task.model, stack, honest, len(own), draw)
        for worker, (x, y) in enumerate(own):
            flips = torch.tensor([Threat(1.0, share).allowance(len(y)) for share in shares])
            found = nearest(task.model, stack, x, y, wanted, flips, draw)
            unflipped = nearest(task.model, stack, x, y, wanted, torch.zeros_like(flips), draw)
            setting = {"attack": attack, "partition": federation.partition, "worker": worker, "seed": seed}
            for j, share in enumerate(shares):
                rows.append(setting | {"local_budget": share} | _told(found, unflipped, wanted, j))
    return pd.DataFrame(rows)


def _trained(
    dataset: Dataset, federation: Federation, model: str, recipe: Recipe, seed: int
) -> tuple[Task, Params]:
    data = material(models.build(model, dataset), dataset, "cpu")
    run = stack_run(data, recipe, seed, (CLEAN,), federation)
    for _ in run.advance():
        pass
    assert isinstance(run, StackRun) and run.main is not None  # a federation has no models that vote
    return run.task, run.main.params


def _told(found: Nearest, unflipped: Nearest, wanted: torch.Tensor, j: int) -> dict[str, float]:
    norm = wanted[j].norm().clamp(min=1e-30)
    cosine = torch.nn.functional.cosine_similarity(found.message[j], wanted[j], dim=0, eps=1e-30)
    named = {"distance": found.distance, "bound": found.bound, "honest": unflipped.distance}
    return {"cosine": float(cosine)} | {name: float(value[j] / norm) for name, value in named.items()}
