"""Section 1: the data and the model."""

import math

import numpy as np

from turncoat.analysis.estimate import estimate
from turncoat.auditing.attacks import Outcomes
from turncoat.auditing.setting import Setting
from turncoat.report.report import Block, Column, Section, Table, Text
from turncoat.threat import CLEAN
from turncoat.training.stability import UNSTABLE_STEP

USELESS = 0.02  # accuracy above always guessing, below which a model has learned next to nothing


def the_data(setting: Setting, outcomes: Outcomes) -> Section:
    """Rows, classes, columns, what was chosen, and how good the model is while nobody is hostile."""
    clean = estimate(one.accuracy for one in outcomes.of(CLEAN))
    f1 = estimate(one.macro_f1 for one in outcomes.of(CLEAN))
    dataset = setting.dataset
    lead = (
        f"{dataset.n:,} rows to learn from and {len(dataset.y_test):,} to test on; the model is right for"
        f" {clean.mean:.1%} of the test rows, where always guessing the commonest class is right for"
        f" {setting.chance:.1%}."
    )
    model = Table(
        "The model",
        (Column("figure"), Column("value", "share")),
        (
            ("accuracy on the test rows", clean.with_interval),
            ("macro F1 on the test rows", f1.with_interval),
            ("accuracy of always guessing", setting.chance),
            ("step, as a share of the longest that is sure to be stable", setting.stability),
        ),
    )
    how = Text(
        f"Model {setting.data.model.name}, {dataset.d} features, {dataset.scale} scale, learning rate"
        f" {setting.recipe.learning_rate:g}, {setting.recipe.epochs} epochs, batches of {setting.recipe.batch_size};"
        f" {len(setting.seeds)} seeds. Scale and learning rate are those of least loss on a fifth of the training rows."
    )
    told = (
        *_warnings(setting, clean.mean),
        _balance(setting),
        model,
        how,
        _tried(setting),
        *_columns(setting),
    )
    return Section("The data and the model", lead, told)


def _warnings(setting: Setting, accuracy: float) -> list[Block]:
    found = []
    if accuracy - setting.chance < USELESS:
        found.append(
            "no-skill: the model is hardly better than always guessing, so there is little that wrong labels could"
            " spoil; the figures below say little"
        )
    if setting.stability > 1:
        found.append(
            f"{UNSTABLE_STEP}: the step is {setting.stability:.3g} times the longest that is sure to be stable, so harm"
            " measures instability as much as the attack; give a lower --learning-rate"
        )
    return [Text(words, warning=True) for words in found]


def _balance(setting: Setting) -> Table:
    counts = np.bincount(setting.dataset.y, minlength=setting.dataset.classes)
    tests = np.bincount(setting.dataset.y_test, minlength=setting.dataset.classes)
    rows = tuple(
        (name, int(n), n / counts.sum(), int(m))
        for name, n, m in zip(setting.names, counts, tests, strict=True)
    )
    columns = (
        Column("class"),
        Column("training rows", "count"),
        Column("share", "percent", heat=True),
        Column("test rows", "count"),
    )
    return Table("The classes", columns, rows)


def _tried(setting: Setting) -> Table:
    columns = (
        Column("scale"),
        Column("learning rate", "number"),
        Column("step stability", "share"),
        Column("held-out loss", "share"),
    )
    rows = tuple(
        (s, rate, stable, loss if math.isfinite(loss) else None) for s, rate, stable, loss in setting.tried
    )
    return Table(
        "Scales and learning rates that were tried; a step stability of 1 is the longest sure to be stable",
        columns,
        rows,
    )


def _columns(setting: Setting) -> list[Block]:
    origin = setting.dataset.origin
    if origin is None:
        return []
    rows = tuple((c.name, c.kind, c.features, c.told or "taken as it stands") for c in origin.columns)
    columns = (Column("column"), Column("kind"), Column("features", "count"), Column("what was done"))
    return [Table("The columns of the table", columns, rows)]
