"""What is guaranteed and what is reached, over the number of flips: the truth lies between the two."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from turncoat import errors
from turncoat.certificates.certificate import Certificate
from turncoat.certificates.certify import certify, hold
from turncoat.certificates.seen_from_above import budgets, undefended, voters_attacked
from turncoat.data.dataset import Dataset
from turncoat.figures import captions, chosen, style
from turncoat.sweep.cells import COLUMNS, Cell, from_config
from turncoat.sweep.prepared import checked

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True, eq=False)
class Reached:
    """A certificate, and accuracy by flips of the attacked vote (None where none votes) and of an undefended model."""

    found: Certificate
    attacked: Mapping[int, float] | None
    undefended: Mapping[int, float]


def attacked_too(
    data: Dataset, found: Certificate, partitions: int | None = None, spread: int | None = None, seed: int = 0
) -> Reached:
    """The certificate beside what attacks reach, on the voters that it certifies and on one undefended model."""
    flips = budgets(int(found.radius.max()), data.n)
    if found.partitions is None:
        return Reached(found, None, undefended(data, "logistic", flips, seed=seed))
    of = hold(data, found.model, found.method, partitions, found.features, spread, None, seed)
    return Reached(found, voters_attacked(of, data, flips), undefended(data, found.model, flips, seed=seed))


def certified_anew(
    curves: pd.DataFrame,
    where: Mapping[str, object] | None,
    progress: Progress,
    *,
    method: str = "partitions",
    partitions: int | None = None,
) -> Reached:
    """What is guaranteed on the data and for the model of the store's cells, and what attacks reach there.

    Raises:
        TurncoatError: if the cells are of several data sets or models, or if the data can't be had as they were.
    """
    problems = {(c.problem, c.fingerprint) for c in _cells(chosen.keep(curves, where))}
    if len(problems) > 1:
        told = sorted(f"{p.dataset} ({p.scale}), {p.model}" for p, _ in problems)
        raise errors.TurncoatError(
            f"figure 'certificate' is about one data set and model, but these cells are of {'; '.join(told)}: choose"
            " with --where dataset=... and --where model=..."
        )
    ((problem, fingerprint),) = problems
    data = checked(problem, fingerprint)
    found = certify(data, problem.model, method=method, partitions=partitions, progress=progress)
    return attacked_too(data, found, partitions)


def _cells(rows: pd.DataFrame) -> list[Cell]:
    configs = rows[list(COLUMNS)].drop_duplicates().astype(object).to_dict("records")
    return [from_config({str(k): None if pd.isna(v) else v for k, v in one.items()}) for one in configs]


def certificate(reached: Reached, *, captioned: bool = True) -> Figure:
    """Certified accuracy, accuracy of the attacked vote, and of an undefended model, over the number of flips."""
    found, attacked, plain = reached.found, reached.attacked, reached.undefended
    with style.applied():
        figure, top = style.canvas(style.ONE_COLUMN, 2.5, _caption(found, attacked), captioned)
        ax = top.subplots()
        flips = np.arange(int(found.radius.max()) + 2)
        certified = [found.accuracy_under(int(f)) for f in flips]
        ax.step(
            flips,
            certified,
            where="post",
            color=style.BLUE,
            label="certified: no flips do more",
            gid="certified",
        )
        if attacked is not None:
            ax.plot(
                list(attacked), list(attacked.values()), color=style.GREEN, marker="s", gid="attacked",
                label="the vote, attacked",
            )  # fmt: skip
        ax.plot(
            list(plain), list(plain.values()), color=style.ORANGE, marker="o", gid="undefended",
            label="one undefended model, attacked",
        )  # fmt: skip
        ax.set_xlabel("flips, fixed before training")
        ax.set_ylabel("test accuracy")
        ax.set_ylim(0, 1)
        top.legend(loc="outside lower center", ncols=1)
        return figure


def _caption(found: Certificate, attacked: Mapping[int, float] | None) -> str:
    voting = "" if found.partitions is None else f", {found.partitions} models vote"
    parts = [
        f"{found.dataset} ({found.scale}): {found.method}, {found.model} on features {found.features}{voting}",
        "No flips that are fixed before training push the vote below the certified line"
        if found.partitions
        else "No flips that are fixed before training push the smoothed classifier below the certified line",
    ]
    if attacked is not None:
        parts.append(
            "The attack on the vote places flips where votes are closest, and all models are trained anew"
        )
    parts.append(
        "Undefended: one model on all rows with features as given, under the strongest of optimal, class by class and"
        " planned flips, each chosen once before training"
    )
    return captions.sentences(parts)
