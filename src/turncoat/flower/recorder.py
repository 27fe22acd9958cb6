"""Rounds of a Flower run in a store of ours, so that ``results`` and ``figure`` show them beside our own runs."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from logging import WARNING
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.common import log
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

from turncoat.data import DATASETS, load
from turncoat.errors import TurncoatError, shown, text, whole
from turncoat.federation.federation import Federation
from turncoat.federation.visibility import looked_at
from turncoat.fields import written
from turncoat.flower.client import REPORT
from turncoat.flower.refusals import stop_at_refusals
from turncoat.flower.seen import Seen, placed, signs_of, spent
from turncoat.metrics import chance as chance_of
from turncoat.recipe import Recipe
from turncoat.sweep.cells import Cell, config, key, normalised
from turncoat.sweep.environment import environment
from turncoat.sweep.frames import Record
from turncoat.sweep.opening import refuse_folder
from turncoat.sweep.problem import Problem
from turncoat.sweep.store import add, open_store
from turncoat.threat import CLEAN, Threat
from turncoat.training.task import CURVES

MARK = (
    "flower:"  # before a model's name: no run of our own engine has such a name, so none is taken for another
)


class Recorder(Strategy):
    """A strategy that does what ``strategy`` does and writes the run's rounds into the store when it is over.

    A round stands as an epoch: ``accuracy`` and, where they are there, ``macro_f1`` and ``loss`` are read from what
    the server's ``evaluate_fn`` returns, or else from the clients' evaluation. The run goes by ``dataset``, by
    ``flower:`` and the name of its ``model``, by ``recipe`` and ``seed``; ``federation`` and ``threat`` are read from
    what the clients sent, where they are not given. ``chance`` is the accuracy of always answering the most frequent
    class; it is known for our own data sets.

    Raises:
        TurncoatError: if the store cannot be there, after the first round nobody has measured the accuracy, or the
            threat says another thing than the clients did.
    """

    def __init__(
        self,
        strategy: Strategy,
        store: str | Path,
        *,
        dataset: str = "flower",
        model: str = "app",
        recipe: Recipe = Recipe(),  # noqa: B008 - frozen
        federation: Federation | None = None,
        threat: Threat | None = None,
        seed: int = 0,
        chance: float | None = None,
    ) -> None:
        if not isinstance(strategy, Strategy):
            raise TurncoatError(f"strategy is {shown(strategy)}, but must be one of flwr.serverapp.strategy")
        self.strategy = strategy
        self.store = Path(store)
        refuse_folder(self.store)
        self.problem = Problem(dataset=text(dataset, "dataset"), model=MARK + text(model, "model"))
        self.recipe, self.federation, self.threat = recipe, federation, threat
        self.seed = whole(seed, "seed")
        self.chance = _chance(dataset) if chance is None else chance
        self.seen: dict[int, Seen] = {}
        self.sent: ArrayRecord | None = None
        self.asked = 0

    def summary(self) -> None:
        """As the strategy's."""
        self.strategy.summary()

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """As the strategy's.

        Raises:
            TurncoatError: if nobody has measured the accuracy of the round before.
        """
        if server_round > 1:
            self._require_accuracy(server_round - 1)
        self.sent = arrays
        messages = list(self.strategy.configure_train(server_round, arrays, config, grid))
        self.asked = max(self.asked, len(messages))
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """As the strategy's; what the clients sent is looked at.

        Raises:
            TurncoatError: if a client refused.
        """
        listed = list(replies)
        stop_at_refusals(server_round, listed)
        answered = [reply for reply in listed if not reply.has_error()]
        found = self._round(server_round)
        if self.sent is not None and answered:
            hostile = [reply for reply in answered if REPORT in reply.content]
            honest = [reply for reply in answered if REPORT not in reply.content]
            found.reports = [reply.content.config_records[REPORT] for reply in hostile]
            found.curve |= spent(found.reports)
            found.signs = signs_of(self.sent, [*hostile, *honest], len(hostile))
        result: tuple[ArrayRecord | None, MetricRecord | None] = self.strategy.aggregate_train(
            server_round, listed
        )
        return result

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """As the strategy's."""
        messages: Iterable[Message] = self.strategy.configure_evaluate(server_round, arrays, config, grid)
        return messages

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """As the strategy's; what the clients measured is noted."""
        metrics = self.strategy.aggregate_evaluate(server_round, replies)
        self._measured(server_round, metrics)
        return metrics

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 3,
        *args: Any,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
        **kwargs: Any,
    ) -> Result:
        """As a strategy's; then write the run into the store, whole or not at all.

        Raises:
            TurncoatError: if nobody measures the accuracy, or the store cannot be written.
        """
        self.seen, self.asked = {}, 0

        def measured(server_round: int, arrays: ArrayRecord) -> MetricRecord | None:
            assert evaluate_fn is not None
            metrics = evaluate_fn(server_round, arrays)
            self._measured(server_round, metrics)
            return metrics

        watch = None if evaluate_fn is None else measured
        result: Result = super().start(grid, initial_arrays, num_rounds, *args, evaluate_fn=watch, **kwargs)
        self._require_accuracy(num_rounds)
        self._write(num_rounds)
        return result

    def _round(self, server_round: int) -> Seen:
        return self.seen.setdefault(server_round, Seen())

    def _measured(self, server_round: int, metrics: MetricRecord | None) -> None:
        """The server's own measure comes last in a round, and counts."""
        names = {"accuracy": "accuracy", "macro_f1": "macro_f1", "macro-f1": "macro_f1", "loss": "test_loss"}
        curve = self._round(server_round).curve
        for theirs, ours in names.items():
            if metrics is not None and theirs in metrics:
                curve[ours] = float(metrics[theirs])

    def _require_accuracy(self, server_round: int) -> None:
        if "accuracy" not in self._round(server_round).curve:
            raise TurncoatError(
                f"round {server_round}: nobody has measured the accuracy; let evaluate_fn, or the clients' evaluation,"
                " return a MetricRecord with 'accuracy'"
            )

    def _write(self, rounds: int) -> None:
        cell = self._cell(rounds)
        seen = [self._round(i + 1) for i in range(rounds)]
        curves = np.array([[one.curve.get(name, math.nan) for name in CURVES] for one in seen])
        looks = [seen[i].signs for i in looked_at(rounds)]
        samples = np.stack([placed(look, cell.federation) for look in looks])
        record = Record(config(cell), curves, self.chance, None, samples)
        with open_store(self.store, create=True) as store:
            known = store.keys()
            if key(cell) in known:
                log(WARNING, "%s holds this run of seed %s already; it stays as it is", self.store, self.seed)
                return
            with store.transaction() as connection:
                add(connection, [(key(cell), record)], environment("cpu") | {"engine": "flower"})

    def _cell(self, rounds: int) -> Cell:
        reports = [report for one in self.seen.values() for report in one.reports]
        hostile = max((len(one.reports) for one in self.seen.values()), default=0)
        if self.threat is not None and self.threat.is_clean != (not reports):
            did = f"{hostile} clients were" if reports else "no client was"
            raise TurncoatError(f"the Recorder's threat is {written(self.threat)}, but {did} hostile")
        federation = self.federation or Federation(
            workers=self.asked,
            hostile=hostile,
            aggregator=_rule(self.strategy),
            tolerated=getattr(self.strategy, "tolerated", -1),
        )
        threat = self.threat or (_threat(reports[0]) if reports else CLEAN)
        if not threat.is_clean:
            threat = dataclasses.replace(threat, write_access=federation.write_access)
        recipe = dataclasses.replace(self.recipe, epochs=rounds)
        return normalised(Cell(self.problem, recipe, federation, threat, self.seed))


def _chance(dataset: str) -> float:
    return chance_of(load(dataset).y_test) if dataset in DATASETS else 0.0


def _rule(strategy: Strategy) -> str:
    rule = getattr(strategy, "aggregator", "mean")
    if not isinstance(rule, str):
        raise TurncoatError(
            "the rule is a function of your own: give the Recorder federation=Federation(…), with the name of one"
        )
    return rule


def _threat(report: ConfigRecord) -> Threat:
    return Threat(
        write_access=1.0, local_budget=float(report["local-budget"]), selection=str(report["selection"])
    )
