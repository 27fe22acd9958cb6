"""A Flower server that aggregates by any of our rules."""

from collections.abc import Callable, Iterable
from logging import INFO
from typing import Any

import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.common import log
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg
from jaxtyping import Float
from torch import Tensor

from turncoat.errors import TurncoatError, whole
from turncoat.federation.aggregators import aggregator as rule_of
from turncoat.flower import arrays as flat
from turncoat.flower.refusals import stop_at_refusals


class RobustStrategy(FedAvg):
    """FedAvg with one of ``turncoat.federation.AGGREGATORS``, or a chain of them, in the place of the average.

    A client's message is what was sent to it minus what it sent back, and the server subtracts the aggregate, as in
    our own federation; all messages weigh the same. ``tolerated`` is f, the number of hostile clients the rule is set
    for. ``aggregator`` may also be a callable, as anywhere else. ``head`` names the output layer's weights, which
    ``lfighter`` must know. All other arguments are FedAvg's. The metrics of a round hold, beside the clients' own,
    ``norms`` and ``cosines`` of the messages in the order of ``nodes``, those who sent them.

    Raises:
        TurncoatError: for an unknown rule; in a round, for a rule that needs more clients than replied.
    """

    def __init__(
        self,
        aggregator: str | Callable[..., Tensor] = "nnm+trimmed_mean",
        tolerated: int = 1,
        head: str | None = None,
        **fedavg: Any,
    ) -> None:
        rule_of(aggregator)
        self.aggregator = aggregator
        self.tolerated = whole(tolerated, "tolerated")
        self.head = head
        self.sent: ArrayRecord | None = None
        super().__init__(**fedavg)

    def summary(self) -> None:
        """Log the rule and what FedAvg logs."""
        log(INFO, "\t├──> Aggregator: %s, f = %s", self.aggregator, self.tolerated)
        super().summary()

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """As FedAvg's; what is sent is kept until the replies are there."""
        self.sent = arrays
        messages: Iterable[Message] = super().configure_train(server_round, arrays, config, grid)
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """What the rule makes of the replies; without ``configure_train`` before, of the arrays themselves.

        Raises:
            TurncoatError: if a client refused, arrays differ in name or shape, or the rule needs more clients than
                replied.
        """
        listed = list(replies)
        stop_at_refusals(server_round, listed)
        valid, _ = self._check_and_log_replies(listed, is_train=True)
        if not valid:
            return None, None
        valid.sort(key=lambda reply: reply.metadata.src_node_id)
        records = [next(iter(reply.content.array_records.values())) for reply in valid]
        try:
            messages, update = self._aggregated(records)
        except TurncoatError as error:
            raise TurncoatError(f"round {server_round}, {len(valid)} clients replied: {error}") from error
        metrics = self.train_metrics_aggr_fn([reply.content for reply in valid], self.weighted_by_key)
        metrics["nodes"] = [reply.metadata.src_node_id for reply in valid]
        metrics["norms"] = messages.double().norm(dim=1).tolist()
        metrics["cosines"] = cosines(messages).tolist()
        return update, metrics

    def _aggregated(self, records: list[ArrayRecord]) -> tuple[Float[Tensor, "w p"], ArrayRecord]:
        """The messages, and the new arrays."""
        like = records[0] if self.sent is None else self.sent
        flat.check_alike(records, like)
        names = flat.averaged(like)
        # in the order of what was sent, whatever the order of a reply
        ordered = [ArrayRecord({name: record[name] for name in like}) for record in records]
        theirs = flat.vectors(ordered, names)
        start = torch.zeros_like(theirs[0]) if self.sent is None else flat.vectors([self.sent], names)[0]
        messages = start - theirs
        rule = rule_of(self.aggregator, head=flat.head_block(like, self.head))
        return messages, flat.rebuilt(start - rule(messages, self.tolerated), ordered, names)


def cosines(messages: Float[Tensor, "w p"]) -> Float[Tensor, " w"]:
    """Of each message to the mean of the others: its own in the mean would make it look closer than it is."""
    wide = messages.double()
    others = wide.sum(0) - wide
    tiny = torch.finfo(wide.dtype).tiny
    scale = (wide.norm(dim=1) * others.norm(dim=1)).clamp(min=tiny)
    found: Tensor = torch.linalg.vecdot(wide, others) / scale
    return found
