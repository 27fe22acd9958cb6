"""What stands below a picture: the setting, the statistic, what is drawn beside the attack, and warnings."""

from collections.abc import Sequence

import pandas as pd

from turncoat.analysis.reached import SPOKEN, reached
from turncoat.analysis.skill import NO_SKILL, lacks_skill
from turncoat.attack.names import STRONGEST
from turncoat.figures import cells, chosen
from turncoat.figures.cells import Runs
from turncoat.training.stability import UNSTABLE_STEP
from turncoat.words import counted

INTERVAL = "Student's 95 % interval over seeds"
NO_INTERVAL = "One seed has no interval"


def caption(lead: str, runs: Runs, statistic: str | None, notes: Sequence[str] = ()) -> str:
    """The caption of a picture of an attack."""
    parts = [
        lead,
        setting(runs.rows),
        statistic_text(runs.rows, statistic),
        attack(runs),
        beside(runs),
        *notes,
    ]
    return sentences([*parts, *warnings(runs.rows)])


def interval(runs: Runs, marks: str) -> str:
    """What marks the interval over seeds; one seed has none, which is said."""
    rows = runs.rows
    seeds = rows["seeds"].max() if "seeds" in rows else rows["seed"].nunique()
    return f"{marks}: {INTERVAL}" if seeds > 1 else NO_INTERVAL


def bold(runs: Runs) -> str:
    """What bold numbers are; one seed has none."""
    return f"Bold: {INTERVAL} leaves out 0" if runs.rows["seed"].nunique() > 1 else NO_INTERVAL


def sentences(parts: Sequence[str]) -> str:
    """The parts that are not empty, each with a full stop."""
    return " ".join(part.rstrip(".") + "." for part in parts if part)


def setting(rows: pd.DataFrame) -> str:
    """Data, scale, model and recipe, as far as the columns are there."""
    first = {c: rows[c].dropna().iloc[0] for c in rows.columns if rows[c].notna().any()}
    words = []
    if "dataset" in first:
        words.append(f"Data {first['dataset']}" + (f" ({first['scale']} scale)" if "scale" in first else ""))
    if "model" in first:
        words.append(f"model {first['model']}")
    words.append(counted(int(first["epochs"] if "epochs" in first else rows["epoch"].max()), "epoch"))
    if "batch_size" in first:
        words.append(f"batch {first['batch_size']}")
    if "learning_rate" in first:
        words.append(f"{first.get('optimizer', '')} learning rate {first['learning_rate']:g}".strip())
    words += [
        f"{name.replace('_', ' ')} {first[name]:g}"
        for name in ("momentum", "weight_decay", "clip_norm")
        if first.get(name)
    ]
    if first.get("lr_schedule", "constant") != "constant":
        words.append(f"learning rate by {first['lr_schedule']}")
    if first.get("warmup"):
        words.append(f"{counted(int(first['warmup']), 'epoch')} of warm-up")
    if first.get("patience"):
        words.append(f"early stopping after {first['patience']}")
    if first.get("precision", "float32") != "float32":
        words.append(f"products in {first['precision']}")
    if first.get("defence", "none") != "none":
        words.append(f"defence {first['defence']}")
    pooled = "workers" in first and not first["workers"]
    if "workers" in first and not pooled:
        words.append(f"{first['workers']} workers")
    if rows.get("aggregator") is not None and rows["aggregator"].nunique() == 1 and not pooled:
        words.append(f"aggregator {first['aggregator']}")
    return ", ".join(words)


def statistic_text(rows: pd.DataFrame, statistic: str | None) -> str:
    """Number of seeds and the statistic."""
    cell = [c for c in (*chosen.CELL, *chosen.FEDERATION, "attack") if c in rows]
    counts = rows["seeds"] if "seeds" in rows else rows.groupby(cell, dropna=False)["seed"].nunique()
    low, high = int(counts.min()), int(counts.max())
    seeds = counted(high, "seed") if low == high else f"{low} to {high} seeds"
    return f"{seeds}, {SPOKEN[statistic]}" if statistic else seeds


def attack(runs: Runs) -> str:
    """The attack's rule and how it works."""
    row = runs.attacked.iloc[0]
    how = [f"{name} {row[name]}" for name in ("schedule", "placement", "knowledge") if name in row]
    how += ["aware"] if row.get("aware") is True or row.get("aware") == 1 else []
    name = runs.attack
    if name == STRONGEST:
        name = "of each budget and goal the rule that harms most on training data"
    return f"Attack: {name}" + (f" ({', '.join(how)})" if how else "")


def beside(runs: Runs) -> str:
    """Whether random flips at the same budget are drawn too."""
    if runs.attack == chosen.RANDOM:
        return "The attack is random flips alone"
    if runs.random.empty:
        return "Random flips at the same budget are missing from these results"
    here = set(map(tuple, runs.attacked[cells.AXES].drop_duplicates().to_numpy()))
    there = set(map(tuple, runs.random[cells.AXES].drop_duplicates().to_numpy()))
    if lost := len(here - there):
        return f"Random flips at the same budget are missing for {lost} of {len(here)} cells"
    return ""


def warnings(rows: pd.DataFrame) -> list[str]:
    """The named warnings of the setting; ``no-skill`` where the rows hold accuracies over epochs."""
    found = []
    if "step_stability" in rows and (rows["step_stability"] > 1).any():
        found.append(
            f"Warning {UNSTABLE_STEP}: step stability is {rows['step_stability'].max():.3g}, above 1, so harm measures"
            " instability as much as the attack"
        )
    if _unskilled(rows):
        found.append(
            f"Warning {NO_SKILL}: the clean model is no better than always answering the most frequent class, so harm"
            " says nothing"
        )
    return found


def _unskilled(rows: pd.DataFrame) -> bool:
    """Whether clean models of one setting, such as one aggregator of several, learned nothing."""
    if not {"accuracy", "chance", "write_access", "seed", "epoch"} <= set(rows.columns):
        return False
    clean = rows[(rows["write_access"] == 0) & rows["chance"].notna()]
    setting = [c for c in (*chosen.SETTING, *chosen.FEDERATION) if c in clean]
    groups = clean.groupby(setting, dropna=False) if setting else [((), clean)]
    return any(
        lacks_skill(
            (
                reached(run.sort_values("epoch")["accuracy"].to_numpy(dtype=float))
                for _, run in alike.groupby("seed")
            ),
            float(alike["chance"].iloc[0]),
        )
        for _, alike in groups
        if len(alike)
    )
