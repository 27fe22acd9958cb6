"""Names of a federation's parts, judged without what they stand for: that takes PyTorch, whose import takes seconds."""

import sys

from turncoat.attack.names import IMITATE
from turncoat.errors import TurncoatError, choose, shown

AGGREGATORS = (
    *(
        "mean",
        "median",
        "trimmed_mean",
        "mean_around_median",
        "geometric_median",
        "krum",
        "multi_krum",
        "bulyan",
    ),
    *("centered_clipping", "norm_clipping", "caf", "lfighter"),
)
PREAGGREGATORS = ("nnm", "bucketing", "arc")
PARTITIONS = ("iid", "dirichlet", "shards", "given")
IMITATED = ("inner_product", "little_is_enough", "min_max", "sign_flip")
FORGED = (*IMITATED, "gaussian", "mimic")  # noise and a copied message need no flips' help


def chained_names(chain: str) -> list[str]:
    """The names in a chain; nothing of one's own is imported yet.

    Raises:
        TurncoatError: if a name is unknown or the chain makes no sense.
    """
    *before, last = (name.strip() for name in chain.split("+"))
    known = (*_now("AGGREGATORS", AGGREGATORS), *_now("PREAGGREGATORS", PREAGGREGATORS), "MODULE:CALLABLE")
    for name in (*before, *(() if is_own(last) else (last,))):
        choose(name, known, "aggregator")
    _check_chain(chain, before, last)
    return [*before, last]


def _now(table: str, built_in: tuple[str, ...], home: str = "aggregators") -> tuple[str, ...]:
    """The names in a table, with those that were added to it, if it has been imported."""
    return tuple(getattr(sys.modules.get(f"turncoat.federation.{home}"), table, built_in))


def forges(selection: object) -> bool:
    """Whether a selection is a gradient attack, which forges messages and flips no labels."""
    return selection in _now("GRADIENT_ATTACKS", FORGED, "attacks")


def imitated(selection: object) -> str | None:
    """The attack that a selection such as "imitate:sign_flip" imitates; None for any other selection.

    Raises:
        TurncoatError: with the nearest name, if there is no such attack or it is none to imitate.
    """
    if not isinstance(selection, str) or not selection.startswith(f"{IMITATE}:"):
        return None
    name = selection.partition(":")[2]
    if forges(name) and name not in IMITATED:
        raise TurncoatError(
            f"selection {shown(selection)}: {name!r} has no message against the honest ones to come near to; imitate"
            f" one of: {', '.join(IMITATED)}"
        )
    return choose(name, IMITATED, "attack to imitate")


def is_own(name: str) -> bool:
    """Whether the last of a chain is a rule of one's own."""
    return ":" in name.rpartition("+")[2]


def _check_chain(chain: str, before: list[str], last: str) -> None:
    first = _now("PREAGGREGATORS", PREAGGREGATORS)
    if last in first or any(name not in first for name in before):
        raise TurncoatError(
            f"aggregator {chain!r} makes no sense: pre-aggregators ({', '.join(first)}) come first "
            "and exactly one aggregator comes last, such as 'nnm+trimmed_mean'"
        )
    if len(set(before)) < len(before):
        raise TurncoatError(f"aggregator {chain!r} names a pre-aggregator twice: name each once")


def partition_kind(partition: str) -> tuple[str, float]:
    """The kind and its number: ("iid", 0), ("dirichlet", α), ("shards", M) or ("given", 0).

    Raises:
        TurncoatError: for an unknown kind or a number that is missing or out of range.
    """
    kind, _, number = str(partition).partition(":")
    choose(kind, PARTITIONS, "partition")
    if kind in ("iid", "given"):
        if number:
            raise TurncoatError(f"partition {partition!r}: {kind} takes no number, type {kind!r}")
        return kind, 0.0
    try:
        value = float(number)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf") or (kind == "shards" and value != int(value)):
        example = "dirichlet:0.1" if kind == "dirichlet" else "shards:2"
        raise TurncoatError(
            f"partition {partition!r} needs a number above 0 after the colon, such as {example!r}"
        )
    return kind, value
