"""How fast is a certificate? 1,000 softmax regressions on 60 images of MNIST each, unit scale, side by side in one run.

    python benchmarks/certify.py [--json]

(a) stack    the models of `turncoat certify` on features as given, all 1,000 as one stack
(b) loop     the same steps of one model after the other in plain PyTorch (nn.Linear, autograd, optim.SGD)
(c) sklearn  scikit-learn's LogisticRegression as it comes, one model after the other, to its own convergence

The loops train a share of the models, and their time is scaled up to all. The three take turns, and each figure is
the median over the turns, so that other work on the machine hits all of them alike. Then `certify` runs as a whole,
and is timed with its features, its votes and its counting. Needs MNIST: turncoat data fetch mnist.
"""

import statistics
import time
import warnings
from collections.abc import Callable

import torch
from sklearn.linear_model import LogisticRegression

import turncoat
from told import options, tell
from turncoat.certificates.certify import hold
from turncoat.certificates.voters import Voters
from turncoat.training.own import train_own

MODELS, TURNS, FLIPS = 1000, 3, (10, 100, 300)
SHARE = 20  # models that a loop trains in a turn


def stack(of: Voters, y: torch.Tensor) -> Callable[[int], int]:
    """All models at once."""
    own = of.ensemble

    def train(turn: int) -> int:
        train_own(own.model, own.recipe, own.x, y[own.parts.rows], own.parts, [0] * len(own.parts))
        return len(own.parts)

    return train


def loop(data: turncoat.Dataset, of: Voters) -> Callable[[int], int]:
    """What one would write in plain PyTorch."""
    recipe = of.ensemble.recipe
    loss = torch.nn.CrossEntropyLoss()

    def train(turn: int) -> int:
        for rows in of.groups[turn * SHARE : (turn + 1) * SHARE]:
            x, y = data.x[rows], data.y[rows]
            net = torch.nn.Linear(data.d, data.classes)
            optimizer = torch.optim.SGD(net.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum)
            for _ in range(recipe.epochs):
                optimizer.zero_grad()
                loss(net(x), y).backward()
                optimizer.step()
        return SHARE

    return train


def library(data: turncoat.Dataset, of: Voters) -> Callable[[int], int]:
    """scikit-learn's own."""
    x, y = data.x.numpy(), data.y.numpy()

    def train(turn: int) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some do not converge in the steps that it takes by default
            for rows in of.groups[turn * SHARE : (turn + 1) * SHARE]:
                LogisticRegression().fit(x[rows], y[rows])
        return SHARE

    return train


def take_turns(contestants: dict[str, Callable[[int], int]]) -> dict[str, list[float]]:
    """Seconds for all models, turn by turn; the first turn only warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(TURNS + 1):
        for name, train in contestants.items():
            begin = time.perf_counter()
            count = train(turn)
            if turn:
                seconds[name].append((time.perf_counter() - begin) * MODELS / count)
    return seconds


def measure() -> dict[str, float]:
    """All figures of this benchmark."""
    data = turncoat.load("mnist", "unit")
    of = hold(data, "logistic", "partitions", MODELS, "given", None, None, 0)
    seconds = take_turns({"stack": stack(of, data.y), "loop": loop(data, of), "sklearn": library(data, of)})
    figures = {f"{name}_seconds": statistics.median(found) for name, found in seconds.items()}
    for name in ("loop", "sklearn"):
        ratios = [slow / fast for slow, fast in zip(seconds[name], seconds["stack"], strict=True)]
        figures[f"speedup_over_{name}"] = statistics.median(ratios)
    for kind in ("given", "anchors"):
        begin = time.perf_counter()
        found = turncoat.certify(data, partitions=MODELS, features=kind)
        figures[f"certify_{kind}_seconds"] = time.perf_counter() - begin
        figures |= {f"certified_{kind}_{flips}": found.accuracy_under(flips) for flips in FLIPS}
    return figures


def main() -> None:
    as_json = options(__doc__).parse_args().json
    figures = {"threads": torch.get_num_threads(), "models_in_a_turn_of_a_loop": SHARE, **measure()}
    tell(figures, as_json)


if __name__ == "__main__":
    main()
