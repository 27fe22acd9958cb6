"""Time every aggregator against a plain reference, and against byzfl's own where it can be imported.

    python benchmarks/aggregators.py [--json] [--threads 1] [--only nnm]

Times are the best of several calls that take turns within one run. byzfl aggregates one replica at a time, so
it is compared on one; those of its rules that overwrite their input get a copy, inside the clock. Its geometric
median takes 3 steps where ours goes on until it rests, and its caf one random power step per eigenvector.
"""

import importlib.util
import json
import sys
import time
import types
from collections.abc import Callable
from functools import partial

import click
import torch
from torch import Tensor

import federated_step
from turncoat.federation.aggregators import AGGREGATORS, PREAGGREGATORS, centered_clipping

WORKERS = (20, 50, 100)
PARAMETERS = (7_850, 100_000)
SECONDS = 0.2
STEP_SECONDS = 5.0
WANTED = {"nnm": 5.0, "median": 1.5, "trimmed_mean": 1.5}
NOISE = 0.9
"""No slower means at least this ratio: two runs of one and the same kernel differ by as much."""
RULES = {**AGGREGATORS, **PREAGGREGATORS}
AS_BYZFL = "clipping as byzfl"
"""centered_clipping under byzfl's settings: from zero, radius 100, one step."""
MUTATING = ("arc", "norm_clipping")
"""byzfl's rules that overwrite their input, so that a caller who keeps it must copy it first."""
MANY_REPLICAS_VALUES = 20 * 50 * 100_000
"""Above this many values the 20-replica run would mostly time the memory: left out and said so."""


def plain_median(x: Tensor, f: int) -> Tensor:
    ordered, w = x.sort(0).values, len(x)
    return (ordered[(w - 1) // 2] + ordered[w // 2]) / 2


def plain_trimmed_mean(x: Tensor, f: int) -> Tensor:
    return x.sort(0).values[f : len(x) - f].mean(0)


def plain_mean_around_median(x: Tensor, f: int) -> Tensor:
    nearest = (x - plain_median(x, f)).abs().argsort(0)[: len(x) - f]
    return x.gather(0, nearest).mean(0)


def pairwise(x: Tensor) -> Tensor:
    return torch.stack([torch.stack([(a - b).square().sum() for b in x]) for a in x])


def plain_nnm(x: Tensor, f: int) -> Tensor:
    return torch.stack([x[row.argsort()[: len(x) - f]].mean(0) for row in pairwise(x)])


def plain_scores(x: Tensor, f: int) -> Tensor:
    return torch.stack([row.sort().values[1 : len(x) - f - 1].sum() for row in pairwise(x)])


def plain_krum(x: Tensor, f: int) -> Tensor:
    return x[plain_scores(x, f).argmin()]


def plain_multi_krum(x: Tensor, f: int) -> Tensor:
    return x[plain_scores(x, f).argsort()[: len(x) - f]].mean(0)


def plain_geometric_median(x: Tensor, f: int) -> Tensor:
    z = x.mean(0)
    for _ in range(10):
        beta = 1 / (x - z).norm(dim=1).clamp_min(1e-6)
        z = (beta[:, None] * x).sum(0) / beta.sum()
    return z


def plain_norm_clipping(x: Tensor, f: int) -> Tensor:
    lengths = x.norm(dim=1)
    return torch.stack(
        [row * min(1.0, float(lengths.median() / n)) for row, n in zip(x, lengths, strict=True)]
    ).mean(0)


def plain_centered_clipping(x: Tensor, f: int) -> Tensor:
    v = plain_median(x, f)
    for _ in range(3):
        away = x - v
        lengths = away.norm(dim=1)
        v = v + (away * (lengths.median() / lengths).clamp_max(1)[:, None]).mean(0)
    return v


def plain_arc(x: Tensor, f: int) -> Tensor:
    lengths = x.norm(dim=1)
    most = lengths.sort(descending=True).values[2 * f * (len(x) - f) // len(x)]
    return x * (most / lengths).clamp_max(1)[:, None]


PLAIN: dict[str, Callable[[Tensor, int], Tensor]] = {
    "mean": lambda x, f: x.mean(0),
    "median": plain_median,
    "trimmed_mean": plain_trimmed_mean,
    "mean_around_median": plain_mean_around_median,
    "geometric_median": plain_geometric_median,
    "krum": plain_krum,
    "multi_krum": plain_multi_krum,
    "norm_clipping": plain_norm_clipping,
    "centered_clipping": plain_centered_clipping,
    "nnm": plain_nnm,
    "arc": plain_arc,
}


def load_byzfl() -> dict[str, Callable[[int], Callable[[Tensor], Tensor]]]:
    """byzfl's rules by our names, each a factory over f; empty where byzfl is not installed.

    Only its two aggregator modules are imported: the package itself asks for torchvision.
    """
    found = importlib.util.find_spec("byzfl")
    if found is None:
        return {}
    package = types.ModuleType("byzfl")
    package.__path__ = list(found.submodule_search_locations or [])
    sys.modules["byzfl"] = package
    rules = importlib.import_module("byzfl.aggregators.aggregators")
    mixers = importlib.import_module("byzfl.aggregators.preaggregators")
    return {
        "mean": lambda f: rules.Average(),
        "median": lambda f: rules.Median(),
        "trimmed_mean": rules.TrMean,
        "mean_around_median": rules.Meamed,
        "geometric_median": lambda f: rules.GeometricMedian(),
        "krum": rules.Krum,
        "multi_krum": rules.MultiKrum,
        AS_BYZFL: lambda f: rules.CenteredClipping(),
        "caf": rules.CAF,
        "nnm": mixers.NNM,
        "bucketing": lambda f: mixers.Bucketing(2),
        "arc": mixers.ARC,
        "norm_clipping": lambda f: partial(_clip_and_average, mixers.Clipping(1.0)),
    }


def _clip_and_average(clip: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return clip(x).mean(0)


def race(calls: dict[str, Callable[[], object]], seconds: float = SECONDS) -> dict[str, float]:
    """Shortest time of each call in milliseconds; they take turns, so that a busy machine slows all alike."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    stop = time.perf_counter() + seconds
    while any(len(taken) < 3 for taken in times.values()) or time.perf_counter() < stop:
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
            if times[name][0] > seconds and len(times[name]) > 1:
                stop = 0.0
        if stop == 0.0 and len(times[name]) > 1:
            break
    return {f"{name}_ms": 1000 * min(taken) for name, taken in times.items()}


def ours(name: str, messages: Tensor, f: int) -> Callable[[], object]:
    if name == "lfighter":
        return partial(RULES[name], messages, f, head=(0, 10, messages.shape[-1] // 10))
    if name == AS_BYZFL:
        zero = torch.zeros(messages.shape[-1])
        return partial(centered_clipping, messages, f, center=zero, radius=100.0, iterations=1)
    return partial(RULES[name], messages, f)


def measure(name: str, messages: Tensor, f: int, byzfl: dict) -> dict[str, object]:
    r, w, p = messages.shape
    calls = {"ours": ours(name, messages, f)}
    if r == 1 and name in PLAIN:
        calls["plain"] = lambda: PLAIN[name](messages[0], f)
    if r == 1 and name in byzfl:
        theirs = byzfl[name](f)
        calls["byzfl"] = lambda: theirs(messages[0].clone() if name in MUTATING else messages[0])
    row: dict[str, object] = {"rule": name, "r": r, "w": w, "p": p, "f": f} | race(calls)
    return row | {
        f"{other}_ratio": row[f"{other}_ms"] / row["ours_ms"]  # type: ignore[operator]
        for other in ("plain", "byzfl")
        if other in calls
    }


def rows(byzfl: dict, names: list[str]) -> list[dict[str, object]]:
    generator = torch.Generator().manual_seed(0)
    table = []
    for w in WORKERS:
        for p in PARAMETERS:
            for r in (1, 20):
                if r * w * p > MANY_REPLICAS_VALUES:
                    continue
                messages = torch.randn(r, w, p, generator=generator)
                f = min(w // 5, (w - 3) // 4)
                table += [measure(name, messages, f, byzfl) for name in names]
    return table


def verdicts(table: list[dict[str, object]]) -> list[str]:
    """The wanted ratios that were missed."""
    missed = []
    for row in table:
        wanted = WANTED.get(str(row["rule"]), NOISE)
        if "byzfl_ratio" in row and row["byzfl_ratio"] < wanted:  # type: ignore[operator]
            missed.append(
                f"{row['rule']} w={row['w']} p={row['p']}: {row['byzfl_ratio']:.2f}, wanted {wanted}"
            )
    return missed


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option(
    "--threads", type=click.IntRange(1), help="CPU threads for all; fewer are steadier on a busy machine."
)
@click.option("--only", help="Time this rule alone.")
def main(as_json: bool, threads: int | None, only: str | None) -> None:
    """Time every aggregator on this machine's CPU."""
    if threads:
        torch.set_num_threads(threads)
    byzfl = load_byzfl()
    start = time.perf_counter()
    table = rows(byzfl, [only] if only else [*RULES, AS_BYZFL])
    step = federated_step.summary(race(federated_step.calls(), STEP_SECONDS))
    result = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "byzfl": bool(byzfl),
        "seconds": round(time.perf_counter() - start, 1),
        "rows": table,
        "step": step,
        "missed": verdicts(table)
        + ([] if step["met"] else [f"federated step: {step['ratio']:.1f}, wanted 10"]),
        "left_out": f"r = 20 where r * w * p > {MANY_REPLICAS_VALUES}",
    }
    if as_json:
        click.echo(json.dumps(result, indent=1))
        return
    click.echo(
        f"{'rule':20}{'r':>4}{'w':>5}{'p':>8}{'ours ms':>10}{'plain':>9}{'byzfl':>9}   (ratios: other / ours)"
    )
    for row in table:
        ratios = "".join(
            f"{row[k]:9.2f}" if k in row else f"{'-':>9}" for k in ("plain_ratio", "byzfl_ratio")
        )
        click.echo(f"{row['rule']:20}{row['r']:4}{row['w']:5}{row['p']:8}{row['ours_ms']:10.3f}{ratios}")
    click.echo(
        f"a step of {step['workers']} workers with batches of {step['batch']}, trimmed mean: "
        f"{step['ours_replica_steps_per_second']:.0f} replica-steps/s for {step['replicas']} replicas at once, a loop "
        f"over workers {step['plain_steps_per_second']:.0f}: {step['ratio']:.1f} times as many"
    )
    click.echo(
        f"{result['seconds']} s; byzfl {'found' if byzfl else 'not installed'}; left out: {result['left_out']}"
    )
    click.echo("\n".join(["missed:", *result["missed"]]) if result["missed"] else "every wanted ratio is met")


if __name__ == "__main__":
    main()
