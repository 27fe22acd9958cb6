"""Fill the figures of pages from the committed extracts, so that text and measurement cannot part.

    python docs/gen_results.py results docs/results.md README.md

A number on the page is followed by a comment that says what it is, such as
``81<!-- acc raw k=0.25 b=1 -->``; it is written anew with as many decimals as stand there. The words of a comment are
a measure, then whatever differs from MNIST 0/1, regression, the printed rule, untargeted, SGD, the last 10 % of epochs.
A table stands between ``<!-- begin NAME -->`` and ``<!-- end -->``.
"""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from turncoat.analysis.breakdown import global_budget
from turncoat.analysis.estimate import Estimate, estimate
from turncoat.analysis.pairs import difference
from turncoat.reproduce import extracts, measures, ratios

NUMBER = re.compile(r"([+-]?\d[\d,]*(?:\.\d+)?)<!-- (\w+)((?: [^ ]+)*?) -->")
TABLE = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
DEFAULTS = {
    "dataset": "mnist-01",
    "model": "logistic",
    "selection": "as_printed",
    "goal": "untargeted",
    "optimizer": "sgd",
    "statistic": "tail",
    "patience": "0",
}
WORDS = {
    "dataset": ("mnist-01", "mnist", "cifar10", "cifar100", "digits"),
    "model": ("logistic", "mlp", "vit"),
    "scale": ("raw", "unit", "standard"),
    "selection": ("as_printed", "optimal", "random", "planned", "class_by_class"),
    "goal": ("untargeted", "targeted"),
    "optimizer": ("sgd", "adam"),
    "statistic": ("tail", "last"),
}
HALF_POINT = 0.005


def filled(text: str, points: pd.DataFrame) -> str:
    """The page with every figure as measured.

    Raises:
        LookupError: for a comment that names nothing there is.
    """

    def number(found: "re.Match[str]") -> str:
        value = MEASURES[found[2]](points, asked(found[3].split()))
        decimals = len(found[1].partition(".")[2])
        sign = "+" if found[1].startswith("+") else ""
        return f"{round(value, decimals) + 0.0:{sign},.{decimals}f}<!-- {found[2]}{found[3]} -->"

    text = NUMBER.sub(number, text)
    return TABLE.sub(lambda found: found[1] + TABLES[found[2]](points) + found[3], text)


def asked(words: list[str]) -> dict[str, str]:
    """What a comment's words ask for."""
    given = dict(DEFAULTS)
    for word in words:
        name, _, value = word.rpartition("=")
        names = [name] if name else [kind for kind, values in WORDS.items() if value in values]
        if len(names) != 1:
            raise LookupError(f"{word!r} is no word of a figure")
        given[names[0]] = value
    return given


def rows_of(points: pd.DataFrame, given: Mapping[str, str]) -> pd.DataFrame:
    """The pooled runs of a setting, attacked or not."""
    keep = (points["workers"] == 0) & (points["patience"] == int(given["patience"]))
    for name in ("dataset", "model", "scale", "optimizer"):
        keep &= points[name] == given[name]
    if not keep.any():
        raise LookupError(f"no runs of {dict(given)}")
    # trainings of several lengths: the longest, unless one is named
    keep &= points["epochs"] == float(given.get("epochs", points[keep]["epochs"].max()))
    return measures.harmed(points[keep], given["statistic"])


def under(rows: pd.DataFrame, given: Mapping[str, str]) -> pd.DataFrame:
    """The runs under a rule, in the cells that are named; random flips have no goal."""
    goal = None if given["selection"] == measures.RANDOM else given["goal"]
    found = measures.attacked(rows, given["selection"], goal)
    for name, column in (("k", "write_access"), ("b", "local_budget")):
        if name in given:
            found = found[(found[column] - float(given[name])).abs() < 1e-3]
    if "upto" in given:
        found = found[found["write_access"] <= float(given["upto"]) + 1e-9]
    if "kb" in given:
        found = found[global_budget(found) == float(given["kb"])]
    if found.empty:
        raise LookupError(f"no runs of {dict(given)}")
    return found


def accuracy(points: pd.DataFrame, given: Mapping[str, str]) -> float:
    """Mean accuracy in percent."""
    rows = under(rows_of(points, given), given)
    return 100 * estimate(measures.by_seed(rows[f"accuracy.{given['statistic']}"], rows)).mean


def lowest(points: pd.DataFrame, given: Mapping[str, str]) -> float:
    """Lowest accuracy of a run in percent."""
    return 100 * float(under(rows_of(points, given), given)[f"accuracy.{given['statistic']}"].min())


def harm(points: pd.DataFrame, given: Mapping[str, str]) -> float:
    """Mean harm in points."""
    rows = under(rows_of(points, given), given)
    return 100 * estimate(measures.by_seed(rows["harm"], rows)).mean


def most(points: pd.DataFrame, given: Mapping[str, str]) -> float:
    """Mean harm in points of the cell where it is largest."""
    cells = under(rows_of(points, given), given).groupby(measures.CELL)["harm"]
    return 100 * max(estimate(harms).mean for _, harms in cells)


def clean(points: pd.DataFrame, given: Mapping[str, str]) -> float:
    """Mean accuracy of the clean runs in percent."""
    rows = rows_of(points, given)
    return 100 * estimate(rows[rows["write_access"] == 0][f"accuracy.{given['statistic']}"]).mean


def seeds(points: pd.DataFrame, given: Mapping[str, str]) -> float:
    """Fewest seeds of a cell."""
    cells = under(rows_of(points, given), given).groupby(measures.CELL)["seed"]
    return float(cells.nunique().min())


def runs(points: pd.DataFrame, given: Mapping[str, str]) -> float:
    """How many runs these are."""
    return float(len(under(rows_of(points, given), given)))


def epochs(points: pd.DataFrame, given: Mapping[str, str]) -> float:
    """How long they trained."""
    (length,) = rows_of(points, given)["epochs"].unique()
    return float(length)


def step(points: pd.DataFrame, given: Mapping[str, str]) -> float:
    """Step stability."""
    return float(rows_of(points, given)["step_stability"].max())


def compared(points: pd.DataFrame, given: Mapping[str, str], rival: str) -> list[Estimate]:
    """By cell, how much more a rival rule leaves of the accuracy of the same seed."""
    rows = rows_of(points, given)
    name = f"accuracy.{given['statistic']}"
    own, other = (
        {
            cell: runs.set_index("seed")[name]
            for cell, runs in under(rows, {**given, "selection": rule}).groupby(measures.CELL)
        }
        for rule in (given["selection"], rival)
    )
    return [difference(other[cell], own[cell]) for cell in own if cell in other]


def random_more(points: pd.DataFrame, given: Mapping[str, str]) -> float:
    """In how many cells random flips surely harm more, by half a point or more."""
    return float(
        sum(one.below and one.mean <= -HALF_POINT for one in compared(points, given, measures.RANDOM))
    )


def random_less(points: pd.DataFrame, given: Mapping[str, str]) -> float:
    """In how many cells random flips surely harm less, by half a point or more."""
    return float(
        sum(one.above and one.mean >= HALF_POINT for one in compared(points, given, measures.RANDOM))
    )


def random_cells(points: pd.DataFrame, given: Mapping[str, str]) -> float:
    """In how many cells there are both."""
    return float(len(compared(points, given, measures.RANDOM)))


def rules_apart(points: pd.DataFrame, given: Mapping[str, str]) -> float:
    """In how many cells the printed and the optimal rule surely differ, by half a point or more."""
    found = compared(points, given, measures.OPTIMAL)
    return float(sum(one.sure and abs(one.mean) >= HALF_POINT for one in found))


def rules_cells(points: pd.DataFrame, given: Mapping[str, str]) -> float:
    """In how many cells there are both."""
    return float(len(compared(points, given, measures.OPTIMAL)))


def rules_most(points: pd.DataFrame, given: Mapping[str, str]) -> float:
    """By how many points they differ at most."""
    return 100 * max(abs(one.mean) for one in compared(points, given, measures.OPTIMAL))


MEASURES: Mapping[str, Callable[[pd.DataFrame, Mapping[str, str]], float]] = {
    "acc": accuracy,
    "lowest": lowest,
    "harm": harm,
    "most": most,
    "clean": clean,
    "seeds": seeds,
    "runs": runs,
    "epochs": epochs,
    "step": step,
    "random_more": random_more,
    "random_less": random_less,
    "random_cells": random_cells,
    "rules_apart": rules_apart,
    "rules_cells": rules_cells,
    "rules_most": rules_most,
}


def norms(points: pd.DataFrame) -> str:
    """Norms of one hostile worker's gradients over those of nine honest ones, beside random flips and the paper."""
    heads = ["data, model", "scale", "seeds", "mean gradient", "random", "per example", "random", "paper B"]
    lines = ["| " + " | ".join(heads) + " |", "|---|---|" + "---:|" * (len(heads) - 2)]
    rows = points[(points["workers"] > 0) & (points["hostile"] == 1) & (points["write_access"] > 0)]
    for (dataset, model, scale), group in rows.groupby(["dataset", "model", "scale"], sort=False):
        own, random = (measures.attacked(group, rule) for rule in (measures.PRINTED, measures.RANDOM))
        cells: list[Any] = [f"{dataset}, {model}", scale, own["seed"].nunique()]
        for reading in ratios.READINGS:
            cells += [f"{estimate(rows[reading]).mean:.2f}" for rows in (own, random)]
        lines.append(
            "| " + " | ".join(map(str, [*cells, f"{ratios.stated(dataset, model, scale):.3g}"])) + " |"
        )
    return "\n".join([*lines, ""])


RULES = ("random", "as_printed", "optimal", "class_by_class", "planned")
OURS = (
    ("digits", "logistic", 20), ("mnist-01", "logistic", 60), ("mnist", "logistic", 60), ("cifar10", "logistic", 20),
    ("mnist", "mlp", 10),
)  # fmt: skip


def rules(points: pd.DataFrame) -> str:
    """Accuracy under every rule at every budget, with its interval, in our own settings."""
    heads = ["data, model", "seeds", "k", "b", "clean", *(f"`{rule}`" for rule in RULES)]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    alike = (points["workers"] == 0) & (points["scale"] == "unit") & (points["goal"] == "untargeted")
    alike &= (points["schedule"] == "epoch") & (points["last_rounds"] == 0) & (points["patience"] == 0)
    for dataset, model, epochs in OURS:
        own = points[alike & (points["dataset"] == dataset) & (points["epochs"] == epochs)]
        own = own[own["model"] == model]
        clean = own[own["write_access"] == 0]
        attacked = own[own["write_access"] > 0]
        for (k, b), cell in attacked.groupby(measures.CELL, sort=False):
            if not {"planned", "optimal"} <= set(cell["selection"]):
                continue
            told = [_percent(clean["accuracy.tail"])]
            told += [_percent(cell[cell["selection"] == rule]["accuracy.tail"]) for rule in RULES]
            name = f"{dataset}, {model} ({epochs} epochs)"
            lines.append("| " + " | ".join([name, _seeds(cell), f"{k:g}", f"{b:g}", *told]) + " |")
    return "\n".join([*lines, ""])


def _seeds(cell: pd.DataFrame) -> str:
    """How many seeds each rule has; where they differ, the fewest and the most."""
    counts = cell[cell["selection"].isin(RULES)].groupby("selection")["seed"].nunique()
    fewest, most = counts.min(), counts.max()
    return str(most) if fewest == most else f"{fewest}–{most}"


def _percent(values: pd.Series) -> str:
    if values.empty:
        return "–"
    found = estimate(values)
    ends = f" [{100 * found.low:.1f}, {100 * found.high:.1f}]" if found.has_interval else ""
    return f"{100 * found.mean:.1f}{ends}".replace("-", "−")


TABLES: Mapping[str, Callable[[pd.DataFrame], str]] = {"norms": norms, "rules": rules}


if __name__ == "__main__":
    measured = extracts.read(Path(sys.argv[1])).points
    for page in map(Path, sys.argv[2:]):
        page.write_text(filled(page.read_text(encoding="utf-8"), measured), encoding="utf-8")
