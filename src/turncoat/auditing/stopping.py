"""Section 5: what stops it. Defences of the training, what each costs while labels are clean, and what it saves."""

import dataclasses
from collections.abc import Iterator

import torch
from jaxtyping import Int
from torch import Tensor

from turncoat.analysis.estimate import estimate
from turncoat.analysis.reached import reached
from turncoat.auditing.attacks import CARELESS, EACH_EPOCH, Outcomes, grid
from turncoat.auditing.harm import ACCESS
from turncoat.auditing.pictures import bars
from turncoat.auditing.setting import Setting, Told
from turncoat.defence import guards
from turncoat.report.report import Cell, Choice, Column, Picture, Section, Table, Text
from turncoat.threat import CLEAN, Threat
from turncoat.training.run import StackRun
from turncoat.training.stack import Training, stack_run
from turncoat.training.task import CURVES

SHARE = 0.1  # of wrong labels that the defences are tried with
GOLD = 0.02  # share of the labels that are checked by hand: a price that people pay
FEWEST, MOST = 20, 500  # labels checked by hand
WITH = {"random": "careless labels", "fixed": "strongest labels", "knowing": "flips that know the defence"}

Row = tuple[str, str, dict[str, list[float]]]  # defence, what it does, accuracies by seed under each attack


def what_stops_it(setting: Setting, outcomes: Outcomes, told: Told) -> Section:
    """Accuracy with and without each defence, of clean labels and of wrong ones, by pairs of seeds."""
    share = min(setting.shares, key=lambda one: abs(one - SHARE))
    tried = defences(setting.dataset.n)
    found: dict[float, list[Row]] = {access: [] for access in ACCESS}
    for place, (defence, what) in enumerate(tried.items()):
        told("trying defences", place / len(tried))
        for access, accuracies in _accuracies(setting, outcomes, defence, share).items():
            found[access].append((defence, what, accuracies))
    lead = _lead(found[1.0], share)
    views = tuple(((who,), (_picture(found[access], share, who), _table(found[access], share, who)))
                  for access, who in ACCESS.items())  # fmt: skip
    notes = (
        Text(" ".join(f"{name}: {what}." for name, what in tried.items() if name != "none")),
        Text(
            "The strongest labels are those of the attacks above, made to harm a plain training and left in the table,"
            " that harm most with the defence, by the training rows. Flips that know the defence are chosen anew each"
            " epoch, by its own losses, and so that they pass its checks as far as the attacker can tell by trying. A"
            " stronger attack than these may exist: the figures are no guarantee."
        ),
    )
    return Section("What stops it", lead, (Choice(("write access",), views), *notes))


def defences(rows: int) -> dict[str, str]:
    """The defences that are tried on so many rows, and what each does."""
    gold = max(FEWEST, min(MOST, int(GOLD * rows)))
    return {
        "none": "plain training",
        "gce:0.3": "a loss that gives way where a label looks wrong",
        "knn:10": "labels that most of ten neighbours disagree with are left out",
        f"gold:{gold}": f"{gold} labels are checked by hand, and others count as far as they agree with these",
        f"gold_alone:{gold}": "the checked labels alone are trained on",
        "redundancy:3": "three people label each row, and the majority counts",
    }


def _accuracies(
    setting: Setting, outcomes: Outcomes, defence: str, share: float
) -> dict[float, dict[str, list[float]]]:
    """By write access and seed: of clean labels, careless ones, the strongest that lie there, and flips that know."""
    recipe = dataclasses.replace(setting.recipe, defence=defence)
    still = {access: _lasting(setting, access, share) for access in ACCESS}
    knowing = tuple(
        dataclasses.replace(EACH_EPOCH.threat(access, share), aware=guards(defence)) for access in ACCESS
    )
    lasting = tuple(dict.fromkeys(threat for access in ACCESS for threat in still[access]))
    found: dict[Threat, list[tuple[float, float]]] = {}  # by seed: accuracy on training rows and on test rows
    for seed in setting.seeds:
        lying = stack_run(setting.data, recipe, seed, (CLEAN, *lasting))
        assert isinstance(lying, StackRun)  # none of the defences deals the rows out
        lying.kept = torch.stack(list(_labels(setting, outcomes, lying, seed)), 1)
        anew = stack_run(setting.data, recipe, seed, knowing)
        for stack in (lying, anew):
            for threat, values in zip(stack.threats, _reached(stack), strict=True):
                found.setdefault(threat, []).append(values)
    worst = {
        access: min(own, key=lambda t: estimate(learned for learned, _ in found[t]).mean)
        for access, own in still.items()
    }
    shown = {
        access: (CLEAN, CARELESS.threat(access, share), worst[access], own)
        for access, own in zip(ACCESS, knowing, strict=True)
    }
    return {
        access: {
            name: [accuracy for _, accuracy in found[threat]]
            for name, threat in zip(("clean", *WITH), own, strict=True)
        }
        for access, own in shown.items()
    }


def _reached(stack: Training) -> list[tuple[float, float]]:
    """Each replica's accuracy on the training rows' own labels and on the test rows."""
    for _ in stack.advance():
        pass
    both = [stack.curves()[:, :, CURVES.index(name)].T for name in ("train_accuracy", "accuracy")]
    return [(reached(learned), reached(curve)) for learned, curve in zip(*both, strict=True)]


def _lasting(setting: Setting, access: float, share: float) -> list[Threat]:
    """The attacks whose labels stay in the table, careless ones first."""
    return [t for attack, k, s, t in grid(setting) if (k, s) == (access, share) and attack.schedule == "once"]


def _labels(setting: Setting, outcomes: Outcomes, stack: StackRun, seed: int) -> Iterator[Int[Tensor, " n"]]:
    """The labels that lie there under each threat, as far as the attacker reaches (less, of redundant labels)."""
    y = setting.data.y
    for threat, own in zip(stack.threats, stack.task.threats, strict=True):
        labels = outcomes.found[threat, seed].labels
        if labels is None:
            yield y
            continue
        pool = stack.task.way.pool(stack.task, (own,), 0)
        held = torch.zeros(len(y), dtype=torch.bool)
        held[pool.order[: int(pool.sizes.max())]] = True
        yield torch.where(held, labels, y)


def _lead(rows: list[Row], share: float) -> str:
    least = {name: min(estimate(found[attack]).mean for attack in WITH) for name, _, found in rows}
    best = max(least, key=lambda name: least[name])
    plain = f"With {share:.0%} of all labels wrong, plain training keeps {least['none']:.1%} at worst"
    if best == "none":
        return f"{plain}, and none of the defences keeps more against every attack tried."
    return f"{plain}; {best} keeps most of the defences, {least[best]:.1%}."


def _picture(rows: list[Row], share: float, who: str) -> Picture:
    groups = {"clean labels": "clean"} | {told: name for name, told in WITH.items()}
    return bars(
        [name for name, *_ in rows],
        {told: [estimate(found[name]).mean for *_, found in rows] for told, name in groups.items()},
        "accuracy", f"Accuracy with each defence; {share:.0%} of the labels wrong, write access to {who}.",
    )  # fmt: skip


def _table(rows: list[Row], share: float, who: str) -> Table:
    plain = rows[0][2]
    cells: list[tuple[Cell, ...]] = []
    for name, _, found in rows:
        row: list[Cell] = [name, estimate(found["clean"]).with_interval]
        pairs = [a - b for a, b in zip(plain["clean"], found["clean"], strict=True)]
        row.append(None if name == "none" else estimate(pairs).with_interval)
        row += [estimate(found[attack]).with_interval for attack in WITH]
        cells.append(tuple(row))
    columns = (
        Column("defence"), Column("clean labels [95 %]", "percent", heat=True),
        Column("its price [95 %]", "percent"),
        *(Column(f"{told} [95 %]", "percent", heat=True) for told in WITH.values()),
    )  # fmt: skip
    return Table(
        f"Accuracy with each defence, {share:.0%} of the labels wrong, write access to {who}; the price is what a"
        " defence costs while labels are clean",
        columns,
        tuple(cells),
    )
