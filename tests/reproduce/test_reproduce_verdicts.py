"""Every rule on made-up runs that show the claim, and on runs that show the opposite."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from turncoat.reproduce import (
    claims_page,
    measures,
    rules_harm,
    rules_rivals,
    rules_shape,
    rules_spread,
    verdicts,
)
from turncoat.reproduce.claims import CLAIMS
from turncoat.reproduce.evidence import Evidence
from turncoat.reproduce.judging import Finding, Part, Verdict, joint
from turncoat.reproduce.verdicts import Judged, Share

HOLDS, HOLDS_FOR, ONLY_IF = Verdict.HOLDS, Verdict.HOLDS_FOR, Verdict.ONLY_IF
FAILS, UNDECIDED, UNKNOWN = Verdict.FAILS, Verdict.UNDECIDED, Verdict.UNKNOWN

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
    "schedule": "epoch",
    "last_rounds": 0,
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
    return UNKNOWN if found is None else found.text


def of_seeds(rows: Runs, count: int) -> Runs:
    """The runs of the first seeds alone."""
    return [run for run in rows if run["seed"] < count]


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
    assert "1 of 6 runs lose more than 10 points" in found.shown.note


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
    assert found is not None and found.shown.figure is not None
    assert found.shown.figure.n == 6 and abs(found.shown.figure.mean) < 0.01


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
    assert judged(rules_spread.spreads, *claimed) == HOLDS
    few = [of_seeds(rows, 3) for rows in claimed]
    assert judged(rules_spread.spreads, *few) == UNDECIDED
    flat = [spread(lambda k: 0.3), spread(lambda k: 0.4, goal="targeted")]
    assert judged(rules_spread.spreads, *flat) == FAILS
    assert judged(rules_spread.spreads, spread(lambda k: 0.02)) == f"{ONLY_IF} size on mnist-01"


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
    assert judged(rules_spread.norm_ratio, rows) == verdict


def test_a_ratio_of_one_is_no_ratio_of_a_third_more() -> None:
    crowd = {"dataset": "cifar10", "workers": 10, "hostile": 1, "example_norm_ratio": 1.0}
    for ratio, verdict in ((1.0, FAILS), (1.3, MEANS.replace("mnist", "cifar10"))):
        rows = runs([(0.1, 1.0)], lambda k, b: 0.0, norm_ratio=ratio, **crowd)
        assert judged(rules_spread.norm_ratio, rows) == verdict


def test_a_ratio_that_varies_too_much_is_undecided() -> None:
    rows = runs([(0.1, 1.0)], lambda k, b: 0.0, scale="unit", workers=10, hostile=1, dataset="mnist")
    for run in rows:
        run["norm_ratio"] = run["example_norm_ratio"] = 1 + 0.1 * (-1) ** run["seed"]
    assert judged(rules_spread.norm_ratio, rows) == UNDECIDED


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
    assert judged(rules_rivals.f1_follows, rows) == verdict


@pytest.mark.parametrize(("cost", "verdict"), [(0.1, HOLDS), (0.0, FAILS)])
def test_beats_random(cost: float, verdict: str) -> None:
    random = runs(GRID, lambda k, b: 0.05, selection="random")
    assert judged(rules_rivals.beats_random, runs(GRID, lambda k, b: cost), random) == verdict


@pytest.mark.parametrize("rule", [rules_rivals.beats_random, rules_harm.carries_over])
def test_noise_that_hides_the_harm_is_no_failure(rule: Any) -> None:
    rows = runs([(0.2, 1.0)], lambda k, b: 0.1, noise=0.3, dataset="mnist", model="mlp")
    random = runs([(0.2, 1.0)], lambda k, b: 0.1, dataset="mnist", model="mlp", selection="random")
    assert judged(rule, rows, random) == UNDECIDED


def test_beats_random_leaves_out_where_nothing_is_harmed_or_half_is_flipped() -> None:
    random = runs(GRID, lambda k, b: 0.9 if k * b >= 0.5 else 0.0, selection="random")
    attack = runs(GRID, lambda k, b: 0.1 if k == 0.5 else 0.0)
    assert judged(rules_rivals.beats_random, attack, random) == HOLDS


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


def planned(known: Evidence) -> dict[str, dict[str, Share]]:
    names = {name for claim in CLAIMS for name in claim.artefacts}
    here = set(known.points["key"])
    return {
        name: {
            s: Share({f"{name}{s}", *(here if s == "raw" else ())}, "50 of 200 epochs")
            for s in ("raw", "unit")
        }
        for name in names
    }


def test_the_table_has_every_claim_scale_and_statistic_and_says_what_trains_the_rest() -> None:
    known = evidence(runs(TENTH, lambda k, b: 0.06), runs(TENTH, lambda k, b: 0.01, selection="random"))
    rows = verdicts.judged(known, planned(known), " --store mine.db")
    table = verdicts.details(rows)
    assert len(table) == ((len(CLAIMS) - 1) * 2 + 1) * 2  # claim 9 has one statistic alone
    first = table[table["claim"] == 1].iloc[0]
    assert first["verdict"] == "holds" and first["unit"] == "points"
    assert first["low"] < first["figure"] < first["high"]
    assert first["random"] == pytest.approx(0.01, abs=1e-3)
    assert first["runs"] == "24 of 26"
    assert first["warnings"] == "unstable-step (316)"
    assert first["cut"] == "B:fig5 50 of 200 epochs; B:fig20 50 of 200 epochs"
    assert table[table["claim"] == 3].iloc[0]["cut"] == "B:fig9 50 of 200 epochs"
    assert first["train"] == "turncoat reproduce B:fig5 B:fig20 --scale raw --store mine.db"
    short = claims_page.first_table(rows).set_index("#")
    assert short.loc[1, "verdict"] == "holds" and str(short.loc[1, "ours"]).startswith("raw: 6.")
    assert short.loc[1, "random flips"] == "1.0"
    assert (short.loc[3, "verdict"], short.loc[3, "ours"]) == ("unmeasured", "not measured")
    runs_there = verdicts.coverage(known, planned(known)).set_index(["artefact", "scale"])
    assert runs_there.loc[("B:fig5", "raw"), ["runs", "seeds", "cut"]].tolist() == [
        "96% (24 of 25)",
        "6",
        "50 of 200 epochs",
    ]


def test_the_page_is_a_line_a_claim_then_a_section_a_claim(tmp_path: Path) -> None:
    known = evidence(runs(TENTH, lambda k, b: 0.06), runs([(0.25, 1.0)], lambda k, b: 0.1)[:6])
    rows = verdicts.judged(known, planned(known), "")
    (tmp_path / "drawn").mkdir()
    (tmp_path / "drawn" / "B-fig5-raw.png").write_text("")
    runs_there = verdicts.coverage(known, planned(known))
    text = claims_page.markdown(rows, runs_there, known.origins, tmp_path / "drawn", tmp_path)
    widths = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert set(widths) <= {7, 8, 9}
    assert all(f"## Claim {claim.number}\n" in text and claim.rule in text for claim in CLAIMS)
    first = text.split("## Claim 1\n")[0]
    lines = [line for line in first.splitlines() if line.startswith("| [")]
    assert len(lines) == len(CLAIMS) and all(len(line.split()) < 40 for line in lines)
    one = text.split("## Claim 1\n")[1].split("## Claim 2\n")[0]
    assert "(MNIST 0/1): this holds on raw features; it was not measured on unit features." in one
    assert "![B:fig5, raw features](drawn/B-fig5-raw.png)" in one and "Part by part" in one
    three = text.split("## Claim 3\n")[1].split("## Claim 4\n")[0]
    assert "Train it with `turncoat reproduce B:fig9 --scale raw`" in three and "png" not in three


def test_a_clean_model_that_learned_nothing_is_told() -> None:
    attacked = runs(TENTH, lambda k, b: 0.0)
    clean = [run | {"write_access": 0.0, "accuracy.tail": run["chance"]} for run in attacked[:6]]
    for rows, told in (((attacked, clean), True), ((attacked,), False)):
        known = evidence(*rows)
        first = verdicts.judged(known, planned(known), "")[0]
        assert ("no-skill" in first.warnings) == told


@pytest.mark.parametrize(
    ("parts", "verdict", "text"),
    [
        ((True, True), HOLDS, "holds"),
        ((False, False), FAILS, "does not hold"),
        ((None, None), UNDECIDED, "undecided"),
        ((None, False), FAILS, "does not hold"),
        ((True, False, None), ONLY_IF, "holds only if 0; undecided: 2"),
        ((True, None), HOLDS_FOR, "holds for 0; undecided: 1"),
    ],
)
def test_one_verdict_over_parts(parts: tuple[bool | None, ...], verdict: Verdict, text: str) -> None:
    found = Finding(tuple(Part(str(number), holds) for number, holds in enumerate(parts)))
    assert (found.verdict, found.text) == (verdict, text)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ([HOLDS, HOLDS], HOLDS),
        ([FAILS, FAILS, UNKNOWN], FAILS),
        ([FAILS, HOLDS], ONLY_IF),
        ([UNDECIDED, UNDECIDED], UNDECIDED),
        ([UNDECIDED, FAILS], FAILS),
        ([UNDECIDED, HOLDS], HOLDS_FOR),
        ([HOLDS_FOR, FAILS], ONLY_IF),
        ([ONLY_IF, HOLDS], ONLY_IF),
        ([UNKNOWN], UNKNOWN),
        ([], UNKNOWN),
    ],
)
def test_one_verdict_over_scales_and_statistics(found: list[Verdict], verdict: Verdict) -> None:
    assert joint(found) is verdict
    assert len(verdict.word.split()) == 1


def test_the_outcome_is_told_by_scale_and_by_statistic_where_they_differ() -> None:
    claim = CLAIMS[1]
    finding = {holds: Finding((Part("", holds),)) for holds in (True, False, None)}
    rows = [
        Judged(claim, scale, statistic, finding[holds])
        for scale, statistic, holds in (
            ("raw", "tail", False), ("raw", "last", None), ("unit", "tail", True), ("unit", "last", True),
            ("standard", "tail", True), ("standard", "last", True),
        )
    ]  # fmt: skip
    assert claims_page.outcome(rows).endswith(
        "(MNIST 0/1): this does not hold on raw features over the last 10 % of epochs; it is undecided on raw features"
        " in the last epoch; it holds on unit and standard features."
    )
    assert verdicts.overall(rows) is ONLY_IF


def test_rules_are_said_with_the_numbers_they_judge_by() -> None:
    low, high = rules_harm.TENTH_PERCENT_COSTS
    assert f"from {100 * low:g} to {100 * high:g} points" in CLAIMS[0].rule
    assert (
        f"k = {rules_shape.SMALL_ACCESS:g}" in CLAIMS[3].rule
        and f"{100 * rules_shape.WON:g} %" in CLAIMS[3].rule
    )
    assert f"factor of {rules_spread.FACTOR:g}" in CLAIMS[8].rule
