"""How near label flips come to gradient attacks, and what either costs: the messages' cosine and distance over b."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from turncoat import errors
from turncoat.analysis import pairs
from turncoat.analysis.estimate import estimate
from turncoat.analysis.nearness import nearness
from turncoat.attack.names import IMITATE, PLANNED
from turncoat.federation.names import IMITATED, imitated
from turncoat.figures import captions, cells, chosen, style
from turncoat.sweep.cells import COLUMNS, Cell, from_config
from turncoat.sweep.prepared import checked

Progress = Callable[[int, int], None]
BUDGETS = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
COLOURS = (style.BLUE, style.ORANGE, style.GREEN, style.GREY)
KINDS = ("the attack itself", "flips that imitate it")


@dataclasses.dataclass(frozen=True, eq=False)
class Near:
    """Nearness per attack, partition, budget, seed and hostile worker; harm per attack, kind, partition and seed."""

    found: pd.DataFrame
    harm: pd.DataFrame  # partition, attack, kind, seed, value; planned and random flips have no attack
    rows: pd.DataFrame  # of the store, for the caption


def near_anew(
    curves: pd.DataFrame,
    where: Mapping[str, object] | None,
    progress: Progress,
    *,
    budgets: float | Sequence[float] = BUDGETS,
) -> Near:
    """Honest trainings of the store's federations, and how near the hostile workers' flips come at their end.

    Raises:
        TurncoatError: if there is no federation with hostile workers and gradient attacks or their imitations, or if
            the cells are of several settings.
    """
    shares = errors.shares(budgets, "budget")
    rows = chosen.keep(curves, where)
    named = rows["selection"].map(lambda name: name if name in IMITATED else imitated_or_none(name))
    own = rows[(rows["workers"] > 0) & (rows["hostile"] > 0) & named.notna() & (rows["write_access"] > 0)]
    if own.empty:
        raise errors.TurncoatError(
            "no cell here is a federation under a gradient attack or flips that imitate one: sweep one with workers,"
            f' hostile and selection = ["sign_flip", "{IMITATE}:sign_flip"]'
        )
    settings = [
        c for c in (*chosen.SETTING, *chosen.FEDERATION) if c in own and c not in ("partition", "aggregator")
    ]
    several = {c: sorted(own[c].dropna().unique().tolist(), key=str) for c in settings}
    if several := {c: values for c, values in several.items() if len(values) > 1}:
        raise chosen.mixed(several)
    attacks = [name for name in IMITATED if name in set(named.dropna())]
    trained = _trainings(own)
    parts = []
    for number, cell in enumerate(trained):
        progress(number, len(trained))
        data = checked(cell.problem, cell.fingerprint)
        parts.append(
            nearness(data, cell.federation, cell.problem.model, cell.recipe, attacks, shares, cell.seed)
        )
    progress(len(trained), len(trained))
    return Near(pd.concat(parts, ignore_index=True), _harm(rows), own)


def imitated_or_none(name: object) -> str | None:
    """The gradient attack that a selection imitates, if it is one that does."""
    return imitated(name) if isinstance(name, str) and name.startswith(f"{IMITATE}:") else None


def _trainings(own: pd.DataFrame) -> list[Cell]:
    """One cell for each partition and seed: what happens before the attack is the same in all."""
    first = own.drop_duplicates(["partition", "seed"])[list(COLUMNS)].astype(object).to_dict("records")
    found = [from_config({str(k): None if pd.isna(v) else v for k, v in one.items()}) for one in first]
    # the honest training is one of the mean, whatever rule the attacked cells had
    return [
        dataclasses.replace(c, federation=dataclasses.replace(c.federation, aggregator="mean")) for c in found
    ]


def _harm(rows: pd.DataFrame) -> pd.DataFrame:
    """Harm by seed, against the clean run of the same partition and rule, at the greatest local budget there is."""
    by = ["partition", "aggregator"]
    clean = cells.per_seed(rows[rows["write_access"] == 0], "accuracy", "tail", by)
    attacked = rows[rows["write_access"] > 0]
    attacked = attacked[attacked["local_budget"] == attacked["local_budget"].max()]
    lost = cells.per_seed(attacked, "accuracy", "tail", [*by, "selection"])
    both = lost.merge(clean, on=[*by, "seed"], suffixes=("", ".clean"))
    attack = both["selection"].map(lambda name: imitated_or_none(name) or name)
    kind = both["selection"].map(lambda name: KINDS[1] if imitated_or_none(name) else KINDS[0])
    plain = both["selection"].isin((PLANNED, chosen.RANDOM))
    return both.assign(
        value=both["value.clean"] - both["value"],
        attack=attack.where(~plain, ""),
        kind=kind.where(~plain, both["selection"]),
    )[[*by, "attack", "kind", "seed", "value"]]


def reach(near: Near, *, captioned: bool = True) -> Figure:
    """Cosine and distance over the local budget, and harm, a column for each partition."""
    partitions = near.found["partition"].unique().tolist()
    attacks = near.found["attack"].unique().tolist()
    with style.applied():
        wide = style.TWO_COLUMNS if len(partitions) > 1 else style.ONE_COLUMN
        figure, top = style.canvas(wide, 5.2, _caption(near), captioned)
        axes = top.subplots(3, len(partitions), squeeze=False, sharey="row", height_ratios=[1.0, 1.0, 1.2])
        for column, partition in enumerate(partitions):
            own = near.found[near.found["partition"] == partition]
            for row, measure in enumerate(("cosine", "distance")):
                for name, colour in zip(attacks, COLOURS, strict=False):
                    _line(axes[row, column], own[own["attack"] == name], measure, colour, name)
            axes[0, column].set_title(str(partition))
            axes[0, column].axhline(0, color=style.GREY, linewidth=0.6)
            axes[1, column].set_xlabel("local budget b")
            _bars(axes[2, column], near.harm[near.harm["partition"] == partition], attacks)
        axes[0, 0].set_ylabel("cosine")
        axes[1, 0].set_ylabel("distance")
        axes[1, 0].set_yscale("log")
        axes[2, 0].set_ylabel("harm (points)")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        top.legend(handles, labels, loc="outside lower center", ncols=len(attacks))
        return figure


def _line(ax: Axes, rows: pd.DataFrame, measure: str, colour: str, name: str) -> None:
    """Mean over hostile workers and seeds by budget, with the interval over seeds; the bound dotted."""
    by_seed = rows.groupby(["local_budget", "seed"])[[measure, "bound"]].mean().reset_index()
    table = pairs.over_seeds(by_seed.rename(columns={measure: "value"}), ["local_budget"]).sort_values(
        "local_budget"
    )
    ax.plot(
        table["local_budget"], table["mean"], color=colour, marker="o", label=name, gid=f"{measure} {name}"
    )
    if by_seed["seed"].nunique() > 1:
        ax.fill_between(
            table["local_budget"], table["low"], table["high"], color=colour, alpha=0.15, linewidth=0
        )
    if measure == "distance":
        bound = by_seed.groupby("local_budget")["bound"].mean()
        ax.plot(bound.index, bound.where(bound > 0), color=colour, linestyle=":", gid=f"bound {name}")


def _bars(ax: Axes, rows: pd.DataFrame, attacks: Sequence[str]) -> None:
    """Harm of each attack beside that of its imitation; planned and random flips as lines."""
    for number, kind in enumerate(KINDS):
        found = [
            estimate(_means(rows[(rows["attack"] == name) & (rows["kind"] == kind)])) for name in attacks
        ]
        places = [place + 0.4 * number for place in range(len(attacks))]
        low = [max(0.0, 100 * (one.mean - one.low)) if one.has_interval else 0.0 for one in found]
        high = [max(0.0, 100 * (one.high - one.mean)) if one.has_interval else 0.0 for one in found]
        ax.bar(
            places, [100 * one.mean for one in found], 0.38, color=style.GREY if not number else style.BLUE,
            label=kind, gid=f"harm {kind}", yerr=[low, high], error_kw={"linewidth": 0.7},
        )  # fmt: skip
    for kind, dashes in ((PLANNED, "-"), (chosen.RANDOM, style.DASHED)):
        level = estimate(_means(rows[rows["kind"] == kind]))
        if level.n:
            ax.axhline(
                100 * level.mean,
                color=style.ORANGE,
                linestyle=dashes,
                linewidth=1.0,
                label=kind,
                gid=f"harm {kind}",
            )
    ax.set_xticks([place + 0.2 for place in range(len(attacks))], attacks, rotation=20, ha="right")
    ax.legend(fontsize=5.5)


def _means(rows: pd.DataFrame) -> pd.Series:
    """One number a seed: the mean over the aggregators that are there."""
    return rows.groupby("seed")["value"].mean()


def _caption(near: Near) -> str:
    rules = sorted(near.rows["aggregator"].unique())
    parts = [
        "How near the messages of flipped labels come to gradient attacks, after honest training: cosine, and distance"
        " over the attack's norm; dotted: no flips within the budget come nearer",
        f"Below: harm at b = {near.rows['local_budget'].max():g}, aggregated by {', '.join(rules)}",
        captions.setting(near.rows),
        f"{near.rows['hostile'].iloc[0]} of {near.rows['workers'].iloc[0]} workers are hostile",
        captions.statistic_text(near.rows, "tail"),
    ]
    if near.rows["seed"].nunique() > 1:
        parts.append(f"Bands and bars: {captions.INTERVAL}")
    else:
        parts.append(captions.NO_INTERVAL)
    return captions.sentences(parts)
