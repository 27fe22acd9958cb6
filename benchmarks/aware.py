"""What does it cost to try flips against a defence? Rounds of an attacker that knows what drops or weighs labels.

    python benchmarks/aware.py [--json]

anew_over_once    a choice past the defence where every proposal scores the rows anew and every trial takes the step's
                  whole gradient of them, over the same choice where what no label changes is taken once
aware_over_plain  a whole round (honest gradient, choice, what it did to the gradient) of an attacker that tries flips
                  against the defence, over a round of one that does not

Softmax regression of MNIST's shape, 60,000 random images, k = 1 and b = 0.25, one replica. The sides of a ratio take
turns, and it is the median over the turns, so that other work on the machine hits both alike. Both sides of the first
choose the same flips, which is looked at every time.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from told import options, tell
from turncoat import Recipe, Threat, from_arrays, models
from turncoat.attack.choosing import Quota, chooser
from turncoat.attack.round import mean_gradient
from turncoat.attack.selection import resolve
from turncoat.direction import Params, untargeted
from turncoat.models.stack import Model, dot, zeros
from turncoat.randomness import generator
from turncoat.training.past_guards import Trial, look, past_the_guard
from turncoat.training.rounds import decide
from turncoat.training.stack import material, stack_run
from turncoat.training.task import Group, Task, start

EXAMPLES, FEATURES, CLASSES = 60_000, 784, 10
TURNS = 3
DEFENCES = ("gold:500", "trimmed_loss:0.25")
AWARE = Threat(1.0, 0.25, aware=True)


def made(defence: str) -> tuple[Task, Params]:
    """A task of noisy clouds, as training makes it, and parameters somewhere on the way."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, EXAMPLES + 1000)
    x = (
        rng.random((len(y), FEATURES), dtype=np.float32)
        + rng.random((CLASSES, FEATURES), dtype=np.float32)[y]
    )
    data = from_arrays(x / 2, y, test_share=1000 / len(y))
    run = stack_run(
        material(models.build("logistic", data), data, "cpu"), Recipe(defence=defence), 0, (AWARE,)
    )
    params = start(run.task).params
    draw = generator(0, "parameters")
    return run.task, {k: 0.05 * torch.randn(v.shape, generator=draw) for k, v in params.items()}


@dataclasses.dataclass(frozen=True)
class Anew(Trial):
    """A trial that takes the gradient of all rows as a step would."""

    given: tuple[Model, Params, Params, Tensor, tuple[Tensor, Tensor] | None] | None = None

    def outcome(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """⟨G, Δ⟩ and which own rows count."""
        assert self.given is not None
        model, params, direction, x, known = self.given
        labels = self.y.unsqueeze(1).repeat(1, chosen.shape[1])
        labels[self.own] = chosen
        labels = self.guard.repaired(labels, self.y)
        rest, pull = self.guard.gradient(model, params, x, labels, self.guard.counted(labels), known)
        total = zeros(params)
        pull(rest, total, 1.0)
        return dot(total, direction, model.replica_axis), (rest[: len(x)] != 0).any(1)[self.own]


def choices(task: Task, params: Params) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """The choice as it is made, and by products anew."""
    model, guard, x, y = task.model, task.guard, task.x, task.y
    assert guard is not None
    toward = untargeted(mean_gradient(model, params, x, y.unsqueeze(1)))
    own, size = torch.arange(len(y)), torch.tensor([len(y)])
    known = None if guard.gold is None else (x[guard.gold], y[guard.gold])
    looked = (resolve("optimal"), model, params, toward, x, own, y, size, generator(0, "selection"))

    def quotas(share: float) -> list[Quota]:
        return [Quota(0, 0, len(y), int(share * AWARE.allowance(len(y))))]

    def once() -> Tensor:
        choose = chooser(*looked)
        trial = look(guard, model, params, toward, x, y, own, known)
        return past_the_guard(trial, lambda share, barred: choose(quotas(share), barred))

    without_looking = dataclasses.replace(guard, gold=None, filters=(), trimmed=0.0)
    frame = look(without_looking, model, params, toward, x, y, own, None)
    slow = Anew(**(vars(frame) | {"guard": guard}), given=(model, params, toward, x, known))

    def anew() -> Tensor:
        return past_the_guard(slow, lambda share, barred: chooser(*looked)(quotas(share), barred))

    return once, anew


def rounds(task: Task, params: Params) -> tuple[Callable[[], object], Callable[[], object]]:
    """A round of an attacker that knows the defence, and of one that does not."""
    state = dataclasses.replace(start(task), params=params)

    def taken(threat: Threat) -> Callable[[], object]:
        group = Group((threat,), torch.tensor([0]))
        return lambda: decide(task, state, group, task.way.pool(task, group.threats, 0), (0,))

    return taken(AWARE), taken(dataclasses.replace(AWARE, aware=False))


def timed(work: Callable[[], object]) -> tuple[float, object]:
    """How long it takes, and what it gives."""
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def measure(defence: str) -> dict[str, float]:
    """All figures of a defence."""
    task, params = made(defence)
    once, anew = choices(task, params)
    aware, plain = rounds(task, params)
    found: dict[str, list[float]] = {"anew_over_once": [], "aware_over_plain": [], "once_seconds": []}
    for _ in range(TURNS):
        seconds, chosen = timed(once)
        slow, wanted = timed(anew)
        assert isinstance(chosen, Tensor) and isinstance(wanted, Tensor) and torch.equal(chosen, wanted)
        found["anew_over_once"].append(slow / seconds)
        found["once_seconds"].append(seconds)
        found["aware_over_plain"].append(timed(aware)[0] / timed(plain)[0])
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    as_json = options(__doc__).parse_args().json
    figures: dict[str, float] = {"threads": torch.get_num_threads()}
    for defence in DEFENCES:
        short = defence.partition(":")[0]
        figures |= {f"{short}_{name}": value for name, value in measure(defence).items()}
    tell(figures, as_json)


if __name__ == "__main__":
    main()
