"""Every rule on made-up runs that show the claim, and on runs that show the opposite."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from turncoat.reproduce import measures, rules_harm, rules_shape, verdicts
from turncoat.reproduce.claims import CLAIMS
from turncoat.reproduce.evidence import Evidence
from turncoat.reproduce.measures import (
    FAILS,
    HOLDS,
    HOLDS_FOR,
    ONLY_IF,
    UNDECIDED,
    UNKNOWN,
    Finding,
    estimate,
    jackknifed,
)
from turncoat.reproduce.verdicts import Share

Runs = list[dict[str, Any]]
Harm = Callable[[float, float], float]
CLEAN = 0.99
COMMON = {
    "dataset": "mnist-01",
    "model": "logistic",
    "scale": "raw",
    "workers": 0,
    "hostile": 0,
    "optimizer": "sgd",
    "patience": 0,
    "epochs": 200,
    "chance": 0.53,
    "lasted": 200,
    "step_stability": 316.0,
    "norm_ratio": np.nan,
    "example_norm_ratio": np.nan,
}
GRID = [(k, b) for k in (0.1, 0.2, 0.5, 1.0) for b in (0.1, 0.2, 0.5, 1.0)]


def runs(cells: list[tuple[float, float]], harm: Harm, noise: float = 0.001, **columns: Any) -> Runs:
    """One run per cell and seed; ``harm`` is what the attack costs in a cell."""
    draw = np.random.default_rng(0)
    found = []
    for k, b in cells:
        for seed in range(6):
            accuracy = CLEAN - harm(k, b) + noise * draw.normal()
            values = {f"{m}.{s}": accuracy for m in ("accuracy", "macro_f1") for s in ("tail", "last")}
            cell = {
                "write_access": k,
                "local_budget": b,
                "seed": seed,
                "clean.tail": CLEAN,
                "clean.last": CLEAN,
            }
            usual = {"goal": "untargeted", "selection": "as_printed", "key": f"{len(found)}"}
            found.append(COMMON | usual | cell | values | columns)
    return found


def judged(rule: Callable[[pd.DataFrame, str], Finding | None], *parts: Runs) -> str:
    found = rule(pd.DataFrame([run for part in parts for run in part]), "tail")
    return UNKNOWN if found is None else found.verdict


def of_seeds(rows: Runs, count: int) -> Runs:
    """The runs of the first seeds alone."""
    return [run for run in rows if run["seed"] < count]


@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_chance_alone_is_rarely_sure(seeds: int) -> None:
    draws = np.random.default_rng(0).normal(size=(2000, seeds))
    found = [estimate(values) for values in draws]
    for sure in (sum(one.above for one in found), sum(one.below for one in found)):
        assert 0.015 < sure / len(found) < 0.035  # 2.5 % on either side


def test_the_jackknife_covers_a_spread_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).normal(size=(1000, 8, 3))
    found = [jackknifed(pd.DataFrame(one), lambda v: float(v.std(axis=0, ddof=1).mean())) for one in draws]
    covered = sum(one.sure_low < 0.9650 < one.sure_high for one in found)  # the mean of such a std
    assert 0.90 < covered / len(found) < 0.98
    assert jackknifed(pd.DataFrame(draws[0, :2]), np.std).sure_low == -np.inf


TENTH = [(0.001, 1.0), (0.1, 0.01)]
QUARTER = [(0.25, 1.0), (1.0, 0.25)]


@pytest.mark.parametrize(("cost", "verdict"), [(0.06, HOLDS), (0.0, FAILS), (0.15, FAILS)])
def test_tenth_percent(cost: float, verdict: str) -> None:
    assert judged(rules_harm.tenth_percent, runs(TENTH, lambda k, b: cost)) == verdict


def test_a_mean_made_by_one_run_is_no_certain_harm() -> None:
    rows = runs([TENTH[0]], lambda k, b: 0.0)
    rows[3]["accuracy.tail"] = 0.6
    found = rules_harm.tenth_percent(pd.DataFrame(rows), "tail")
    assert found is not None and found.verdict == UNDECIDED
    assert "1 of 6 runs lose more than 10" in found.measured


def test_pairs_with_few_seeds_do_not_cost_the_others_theirs() -> None:
    rows = of_seeds(runs([(0.2, 0.005)], lambda k, b: 0.06), 2) + runs(TENTH, lambda k, b: 0.06)
    found = rules_harm.tenth_percent(pd.DataFrame(rows), "tail")
    assert found is not None and found.verdict == HOLDS and found.seeds == 6


@pytest.mark.parametrize(("cost", "verdict"), [(0.46, HOLDS), (0.3, FAILS), (0.42, HOLDS)])
def test_random_level(cost: float, verdict: str) -> None:
    assert judged(rules_harm.random_level, runs(QUARTER, lambda k, b: cost)) == verdict


def test_random_level_only_with_wide_access() -> None:
    found = judged(rules_harm.random_level, runs(QUARTER, lambda k, b: 0.46 if k == 1 else 0.1))
    assert found == f"{ONLY_IF} k=1 b=0.25 untargeted"


@pytest.mark.parametrize(("cost", "verdict"), [(0.15, HOLDS), (0.02, FAILS), (0.4, FAILS)])
def test_five_percent(cost: float, verdict: str) -> None:
    rows = runs([(0.05, 1.0), (1.0, 0.05)], lambda k, b: cost, dataset="mnist")
    assert judged(rules_harm.five_percent, rows) == verdict


@pytest.mark.parametrize(("cost", "noise"), [(0.15, 0.2), (0.2, 0.2), (0.09, 0.2)])
def test_noise_alone_does_not_confirm_a_figure(cost: float, noise: float) -> None:
    rows = runs([(0.05, 1.0)], lambda k, b: cost, noise, dataset="mnist")
    assert judged(rules_harm.five_percent, rows) == UNDECIDED


@pytest.mark.parametrize(
    ("harm", "verdict"),
    [
        (lambda k, b: 0.4 * k * k * b if k > 0.2 else 0.0, HOLDS),
        (lambda k, b: 0.2 * k * b * b, f"{ONLY_IF} little effect of b at k up to 0.2 on mnist-01 logistic"),
        (lambda k, b: 0.2 * k * b * (1 + 5 * k), f"{ONLY_IF} wider access on mnist-01 logistic"),
        (lambda k, b: 0.4 * b, FAILS),
    ],
)
def test_access_over_budget(harm: Harm, verdict: str) -> None:
    assert judged(rules_shape.access_over_budget, runs(GRID, harm, noise=0.0003)) == verdict


@pytest.mark.parametrize(
    ("harm", "verdict"),
    [
        (lambda k, b: 0.4 * k * b, HOLDS),
        (lambda k, b: 0.4 * k * (1.1 - b), f"{ONLY_IF} growth in k"),
        (lambda k, b: 0.4 * (1.1 - k) * (1.1 - b), FAILS),
    ],
)
def test_monotone(harm: Harm, verdict: str) -> None:
    assert judged(rules_shape.monotone, runs(GRID, harm)) == verdict


def test_noise_that_hides_every_fall_is_no_growth() -> None:
    tenths = [i / 10 for i in range(1, 11)]
    cells = [(k, b) for k in tenths for b in tenths]
    assert judged(rules_shape.monotone, runs(cells, lambda k, b: 0.4 * k * b, noise=0.1)) == UNDECIDED


def test_access_is_judged_for_each_data_set() -> None:
    cells = [(0.05, 1.0), (1.0, 0.05), (0.4, 1.0), (1.0, 0.4)]
    wide = runs(cells, lambda k, b: 0.2 * k, dataset="mnist")
    narrow = runs(cells, lambda k, b: 0.2 * b, dataset="cifar10", model="mlp")
    few = of_seeds(runs(cells, lambda k, b: 0.2 * k, dataset="cifar100"), 1)
    found = judged(rules_shape.access_over_budget, wide, narrow, few)
    assert found.startswith(
        f"{ONLY_IF} wider access on mnist logistic; {UNDECIDED}: wider access on cifar100"
    )


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        (lambda k: 0.1 if k >= 0.2 else 0.0, HOLDS),
        (lambda k: 0.0, HOLDS),
        (lambda k: -0.1 if k >= 0.2 else 0.0, f"{ONLY_IF} k below 0.2"),
        (lambda k: 0.1, f"{ONLY_IF} k from 0.2, k·b below half, k·b from half on"),
        (lambda k: -0.1, FAILS),
    ],
)
def test_goals(more: Callable[[float], float], verdict: str) -> None:
    targeted = runs(GRID, lambda k, b: 0.1, goal="targeted")
    assert judged(rules_shape.goals, targeted, runs(GRID, lambda k, b: 0.1 + more(k))) == verdict


def test_goals_are_compared_on_seeds_that_have_all_cells() -> None:
    cells = [(0.2, 1.0), (1.0, 0.4)]
    first = [runs(cells, lambda k, b: 0.2, goal=goal) for goal in ("targeted", "untargeted")]
    lone = runs([(0.2, 1.0)], lambda k, b: 0.5, goal="targeted")  # other seeds, of one cell alone
    more = [run | {"seed": run["seed"] + 6} for run in lone]
    beside = [run | {"goal": "untargeted", "accuracy.tail": 0.9} for run in more]
    found = rules_shape.goals(pd.DataFrame([*first[0], *first[1], *more, *beside]), "tail")
    assert found is not None and found.estimate is not None
    assert found.estimate.seeds == 6 and abs(found.estimate.mean) < 0.01


def spread(std: Callable[[float], float], **columns: Any) -> Runs:
    rows = runs([(k, 1.0) for k in (0.01, 0.05, 0.1, 0.2, 0.5, 1.0)], lambda k, b: 0.3, 0.0, **columns)
    for run in rows:
        shape = (run["seed"] - 2.5) / np.std(np.arange(6), ddof=1)
        run["accuracy.tail"] += std(run["write_access"]) * shape
    return rows


def growing(size: float) -> Callable[[float], float]:
    return lambda k: size * (0.1 if k <= 0.1 else 1.9)


def test_spread_holds_and_fails() -> None:
    claimed = [
        spread(growing(0.02)),
        spread(growing(0.01), goal="targeted"),
        spread(growing(0.1), dataset="mnist"),
        spread(growing(0.05), dataset="mnist", goal="targeted"),
    ]
    assert judged(rules_shape.spread, *claimed) == HOLDS
    few = [of_seeds(rows, 3) for rows in claimed]
    assert judged(rules_shape.spread, *few) == UNDECIDED
    flat = [spread(lambda k: 0.3), spread(lambda k: 0.4, goal="targeted")]
    assert judged(rules_shape.spread, *flat) == FAILS
    assert judged(rules_shape.spread, spread(lambda k: 0.02)) == f"{ONLY_IF} size on mnist-01"


@pytest.mark.parametrize(("more", "verdict"), [(0.05, HOLDS), (-0.05, FAILS)])
def test_adam(more: float, verdict: str) -> None:
    cells = [(0.05, 1.0), (0.4, 1.0)]
    sgd = runs(cells, lambda k, b: 0.1, dataset="mnist")
    adam = runs(cells, lambda k, b: 0.1 + more, dataset="mnist", optimizer="adam")
    assert judged(rules_harm.adam, sgd, adam) == verdict
    some = runs(cells, lambda k, b: 0.1 + (0.2 if k == 0.4 else -0.05), dataset="mnist", optimizer="adam")
    assert judged(rules_harm.adam, sgd, some) == f"{ONLY_IF} k=0.4 b=1"
    less = runs(cells, lambda k, b: 0.1 + (0.05 if k == 0.4 else -0.2), dataset="mnist", optimizer="adam")
    assert judged(rules_harm.adam, sgd, less) == FAILS  # one cell does not outweigh the average
    noisy = runs(cells, lambda k, b: 0.1, 0.3, dataset="mnist", optimizer="adam")
    assert judged(rules_harm.adam, sgd, noisy) == UNDECIDED
    equal = runs(cells, lambda k, b: 0.1, dataset="mnist", optimizer="adam")
    assert judged(rules_harm.adam, sgd, equal) == FAILS


MEANS = f"{ONLY_IF} mnist logistic, norm of the workers' mean gradients"


@pytest.mark.parametrize(
    ("scale", "ratio", "verdict"),
    [("unit", 1.02, MEANS), ("unit", 1.4, FAILS), ("raw", 7.0, MEANS), ("raw", 1.0, FAILS)],
)
def test_norm_ratio(scale: str, ratio: float, verdict: str) -> None:
    rows = runs(
        [(0.1, 1.0)],
        lambda k, b: 0.0,
        dataset="mnist",
        scale=scale,
        workers=10,
        hostile=1,
        norm_ratio=ratio,
        example_norm_ratio=99.0,
    )
    assert judged(rules_shape.norm_ratio, rows) == verdict


def test_a_ratio_of_one_is_no_ratio_of_a_third_more() -> None:
    crowd = {"dataset": "cifar10", "workers": 10, "hostile": 1, "example_norm_ratio": 1.0}
    for ratio, verdict in ((1.0, FAILS), (1.3, MEANS.replace("mnist", "cifar10"))):
        rows = runs([(0.1, 1.0)], lambda k, b: 0.0, norm_ratio=ratio, **crowd)
        assert judged(rules_shape.norm_ratio, rows) == verdict


def test_a_ratio_that_varies_too_much_is_undecided() -> None:
    rows = runs([(0.1, 1.0)], lambda k, b: 0.0, scale="unit", workers=10, hostile=1, dataset="mnist")
    for run in rows:
        run["norm_ratio"] = run["example_norm_ratio"] = 1 + 0.1 * (-1) ** run["seed"]
    assert judged(rules_shape.norm_ratio, rows) == UNDECIDED


def one_seed() -> dict[int, Runs]:
    """Runs that show a claim clearly, as far as one seed can."""
    mnist = {"dataset": "mnist"}
    adam = runs(QUARTER, lambda k, b: 0.3, **mnist, optimizer="adam")
    crowd = runs([(0.1, 1.0)], lambda k, b: 0.0, **mnist, workers=10, hostile=1, norm_ratio=7.3)
    targeted = runs(GRID, lambda k, b: 0.1 * k, goal="targeted")
    grid = runs(GRID, lambda k, b: 0.4 * k * k * b)
    return {
        1: runs(TENTH, lambda k, b: 0.06),
        2: runs(QUARTER, lambda k, b: 0.46),
        3: runs([(0.05, 1.0)], lambda k, b: 0.15, **mnist),
        4: grid,
        5: grid,
        6: grid + targeted,
        8: adam + runs(QUARTER, lambda k, b: 0.1, **mnist),
        9: [run | {"example_norm_ratio": 7.3} for run in crowd],
        10: runs([(0.4, 1.0)], lambda k, b: 0.2, **mnist, model="mlp"),
        12: grid + runs(GRID, lambda k, b: 0.0, selection="random"),
    }


@pytest.mark.parametrize("number", one_seed())
def test_one_seed_decides_nothing(number: int) -> None:
    (claim,) = (claim for claim in CLAIMS if claim.number == number)
    rows = one_seed()[number]
    assert judged(claim.judge, rows) not in (UNDECIDED, UNKNOWN)
    assert judged(claim.judge, of_seeds(rows, 1)) == UNDECIDED


@pytest.mark.parametrize("number", [1, 3, 4, 5, 8, 10, 12])
def test_harm_without_a_clean_run_is_not_judged(number: int) -> None:
    (claim,) = (claim for claim in CLAIMS if claim.number == number)
    rows = [run | {"clean.tail": np.nan} for run in one_seed()[number]]
    assert judged(claim.judge, rows) == UNKNOWN
    assert (
        judged(rules_shape.access_over_budget, [run | {"clean.tail": np.nan} for run in one_seed()[5]])
        == UNKNOWN
    )


def test_carries_over() -> None:
    mlp = runs([(0.4, 1.0), (1.0, 0.4)], lambda k, b: 0.2, dataset="mnist", model="mlp")
    vit = runs([(1.0, 0.4)], lambda k, b: 0.0, dataset="cifar10", model="vit")
    every = [runs([(1.0, 0.4)], lambda k, b: 0.2, dataset=d, model=m) for d, m in measures.DEEP]
    assert judged(rules_harm.carries_over, *every) == HOLDS
    alone = judged(rules_harm.carries_over, mlp)  # the others were not measured
    assert alone.startswith(f"{HOLDS_FOR} mnist mlp; undecided: cifar10 logistic, ")
    assert judged(rules_harm.carries_over, vit) == FAILS
    both = judged(rules_harm.carries_over, mlp, vit)
    assert both.startswith(f"{ONLY_IF} mnist mlp; undecided: ") and "vit" not in both


@pytest.mark.parametrize(
    ("slope", "lasted", "verdict"),
    [
        (1.0, 150, HOLDS),
        (1.0, 200, f"{HOLDS_FOR} training to the end; {UNDECIDED}: early stopping"),
        (-1.0, 150, FAILS),
    ],
)
def test_f1_follows(slope: float, lasted: int, verdict: str) -> None:
    cells = [(k, 1.0) for k in (0.0, 0.1, 0.2, 0.4)]
    rows = runs(cells, lambda k, b: k, dataset="mnist", patience=10, lasted=lasted)
    for run in rows:
        run["macro_f1.tail"] = 0.5 + slope * 0.3 * run["accuracy.tail"]
    assert judged(rules_harm.f1_follows, rows) == verdict


@pytest.mark.parametrize(("cost", "verdict"), [(0.1, HOLDS), (0.0, FAILS)])
def test_beats_random(cost: float, verdict: str) -> None:
    random = runs(GRID, lambda k, b: 0.05, selection="random")
    assert judged(rules_harm.beats_random, runs(GRID, lambda k, b: cost), random) == verdict


@pytest.mark.parametrize("rule", [rules_harm.beats_random, rules_harm.carries_over])
def test_noise_that_hides_the_harm_is_no_failure(rule: Any) -> None:
    rows = runs([(0.2, 1.0)], lambda k, b: 0.1, noise=0.3, dataset="mnist", model="mlp")
    random = runs([(0.2, 1.0)], lambda k, b: 0.1, dataset="mnist", model="mlp", selection="random")
    assert judged(rule, rows, random) == UNDECIDED


def test_beats_random_leaves_out_where_nothing_is_harmed_or_half_is_flipped() -> None:
    random = runs(GRID, lambda k, b: 0.9 if k * b >= 0.5 else 0.0, selection="random")
    attack = runs(GRID, lambda k, b: 0.1 if k == 0.5 else 0.0)
    assert judged(rules_harm.beats_random, attack, random) == HOLDS


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: str(claim.number))
def test_what_is_absent_is_not_judged(claim: Any) -> None:
    elsewhere = pd.DataFrame(
        runs([(0.5, 1.0)], lambda k, b: 0.2, dataset="digits", model="linear", workers=0)
    )
    assert claim.judge(elsewhere[elsewhere["seed"] < 0], "tail") is None
    if claim.number != 12:
        assert claim.judge(elsewhere, "tail") is None


def test_adam_is_compared_at_the_same_length_of_training_only() -> None:
    both = [
        runs(QUARTER, lambda k, b, cost=cost: cost, dataset="mnist", optimizer=name, epochs=epochs)
        for name, epochs, cost in (("sgd", 200, 0.3), ("sgd", 50, 0.1), ("adam", 50, 0.2))
    ]
    assert judged(rules_harm.adam, *both) == HOLDS
    assert judged(rules_harm.adam, both[0], both[2]) == UNKNOWN


def evidence(*parts: Runs) -> Evidence:
    rows = [run | {"key": f"k{i}"} for i, run in enumerate(run for part in parts for run in part)]
    return Evidence(pd.DataFrame(rows), pd.DataFrame(), [{"torch": "2", "cells": 3}])


def test_the_table_has_every_claim_scale_and_statistic_and_says_what_trains_the_rest() -> None:
    names = {name for claim in CLAIMS for name in claim.artefacts}
    known = evidence(runs(TENTH, lambda k, b: 0.06))
    plans = {
        name: {
            s: Share({f"{name}{s}", *(known.points["key"] if s == "raw" else ())}, "50 of 200 epochs")
            for s in ("raw", "unit")
        }
        for name in names
    }
    table = verdicts.details(known, plans, " --store mine.db")
    assert len(table) == (11 * 2 + 1) * 2  # claim 9 has one statistic alone
    first = table[table["claim"] == 1].iloc[0]
    assert first["verdict"] == HOLDS
    assert first["low"] < first["figure"] < first["high"]
    assert first["runs"] == "12 of 14"
    assert first["warnings"] == "unstable-step (316)"
    assert first["cut"] == "B:fig5 50 of 200 epochs; B:fig20 50 of 200 epochs"
    assert table[table["claim"] == 3].iloc[0]["cut"] == "B:fig9 50 of 200 epochs"
    assert first["train"] == "turncoat reproduce B:fig5 B:fig20 --scale raw --store mine.db"
    short = verdicts.summary(table).set_index("claim")
    assert short.loc[1, "verdict"] == f"{HOLDS} (unit not measured)"
    assert short.loc[3, "verdict"] == UNKNOWN
    assert "turncoat reproduce B:fig9" in str(short.loc[3, "measured"])
    runs_there = verdicts.coverage(known, plans).set_index(["artefact", "scale"])
    assert runs_there.loc[("B:fig5", "raw"), ["runs", "seeds", "cut"]].tolist() == [
        "12 of 13",
        "6",
        "50 of 200 epochs",
    ]
    text = verdicts.markdown(table, runs_there.reset_index(), known.origins)
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.count("|") in (7, 8, 10)
    assert all(claim.rule in text for claim in CLAIMS)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ({("raw", "tail"): HOLDS, ("raw", "last"): HOLDS}, HOLDS),
        ({("raw", "tail"): FAILS, ("raw", "last"): FAILS}, FAILS),
        ({("raw", "tail"): FAILS, ("raw", "last"): HOLDS}, f"{ONLY_IF} raw scale, last epoch"),
        (
            {
                ("raw", "tail"): FAILS,
                ("raw", "last"): FAILS,
                ("unit", "tail"): HOLDS,
                ("unit", "last"): HOLDS,
            },
            f"{ONLY_IF} unit scale",
        ),
        ({("raw", "tail"): UNDECIDED, ("raw", "last"): UNDECIDED}, UNDECIDED),
        (
            {("raw", "tail"): UNDECIDED, ("raw", "last"): UNDECIDED, ("unit", "tail"): FAILS},
            f"{FAILS} (unit scale; {UNDECIDED}: raw scale)",
        ),
        (
            {("raw", "tail"): UNDECIDED, ("raw", "last"): HOLDS},
            f"{HOLDS_FOR} raw scale, last epoch; {UNDECIDED}: raw scale, last 10 % of epochs",
        ),
        (
            {("raw", "tail"): f"{HOLDS_FOR} k=1; {UNDECIDED}: k=2", ("unit", "tail"): FAILS},
            f"{ONLY_IF} raw scale (k=1; {UNDECIDED}: k=2)",
        ),
        (
            {("raw", "tail"): f"{ONLY_IF} k=1", ("raw", "last"): f"{ONLY_IF} k=1", ("unit", "tail"): UNKNOWN},
            f"{ONLY_IF} raw scale (k=1) (unit not measured)",
        ),
    ],
)
def test_one_verdict_over_scales_and_statistics(found: dict[tuple[str, str], str], verdict: str) -> None:
    rows = [{"scale": scale, "statistic": s, "verdict": v} for (scale, s), v in found.items()]
    assert verdicts.overall(pd.DataFrame(rows)) == verdict
