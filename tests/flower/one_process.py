"""Flower without its engine: a grid whose nodes are called one after the other in this process."""

from collections.abc import Iterable

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

# messages say which task they are of; the engine would tell
TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1


class Here(Grid):
    """``nodes`` clients of one app; node i + 1 holds partition i."""

    def __init__(self, app, nodes: int, run_config=None) -> None:
        self.app = app
        self.contexts = {
            i + 1: Context(
                1, i + 1, {"partition-id": i, "num-partitions": nodes}, RecordDict(), run_config or {}
            )
            for i in range(nodes)
        }

    def set_run(self, run) -> None: ...

    def run(self): ...

    def create_message(self, *args, **kwargs): ...

    def push_messages(self, messages): ...

    def pull_messages(self, message_ids): ...

    def get_node_ids(self) -> Iterable[int]:
        return list(self.contexts)

    def send_and_receive(self, messages, *, timeout=None):
        return [self.app(message, self.contexts[message.metadata.dst_node_id]) for message in messages]


def record(**arrays) -> ArrayRecord:
    return ArrayRecord({name: Array(np.asarray(value)) for name, value in arrays.items()})


def instruction(arrays: ArrayRecord, node: int = 1, server_round: int = 1, kind: str = "train") -> Message:
    config = ConfigRecord({"server-round": server_round})
    return Message(RecordDict({"arrays": arrays, "config": config}), dst_node_id=node, message_type=kind)


def reply(arrays: ArrayRecord, node: int, **metrics) -> Message:
    content = RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": 1} | metrics)})
    return Message(content, reply_to=instruction(record(), node))
