"""A client's mistake on its way to the server: Flower would tell it as a trace of many lines, and go on without it."""

from collections.abc import Iterable

from flwr.app import Error, Message
from flwr.common.constant import ErrorCode

from turncoat.errors import TurncoatError

MARK = "turncoat: "


def refused(message: Message, error: TurncoatError) -> Message:
    """The reply of a client that cannot do what it was asked."""
    return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, f"{MARK}{error}"), reply_to=message)


def stop_at_refusals(server_round: int, replies: Iterable[Message]) -> None:
    """Go on only if no client refused: without it the run would be another experiment.

    Raises:
        TurncoatError: with the first client's own words.
    """
    for reply in replies:
        reason = (reply.error.reason or "") if reply.has_error() else ""
        if reason.startswith(MARK):
            node = reply.metadata.src_node_id
            raise TurncoatError(f"round {server_round}, node {node}: {reason.removeprefix(MARK)}")
