"""A hostile client: a mod that looks at the arrays that came and chooses which labels to train on.

app = ClientApp(mods=[hostile(Net, my_examples, clients=3)])
...
    loader = DataLoader(flipped(examples, context), batch_size=32, shuffle=True)
"""

import dataclasses
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from flwr.app import ConfigRecord, Context, Message, MessageType
from flwr.clientapp.typing import ClientAppCallable, Mod
from torch import nn
from torch.utils.data import DataLoader, Dataset

from turncoat import errors
from turncoat.attack.selection import OwnSelection, resolve
from turncoat.attack.worst_flips import Flips, worst_flips
from turncoat.direction import Params
from turncoat.errors import TurncoatError
from turncoat.federation.attacks import GRADIENT_ATTACKS
from turncoat.flower import handover
from turncoat.flower.following import following, to_follow
from turncoat.flower.refusals import refused
from turncoat.planning.plan import Plan
from turncoat.randomness import generator
from turncoat.threat import Threat

BATCH = 256  # examples read at a time
REPORT = "turncoat"
"""The record in a hostile client's reply that says what it did: for whoever studies it, no part of the message."""

Direction = Callable[[nn.Module, Context], Params]


@dataclasses.dataclass(frozen=True)
class _Attacker:
    """What a hostile client knows and wants."""

    model: Callable[[], nn.Module]
    data: Callable[[Context], Dataset]
    threat: Threat
    direction: Direction | None
    seed: int
    plan: Plan | None


@errors.known_arguments
def hostile(
    model: Callable[[], nn.Module],
    data: Callable[[Context], Dataset],
    clients: int | Collection[int] | Callable[[Context], bool],
    *,
    selection: str | OwnSelection = "optimal",
    local_budget: float = 1.0,
    direction: Direction | None = None,
    seed: int = 0,
    plan: Plan | str | Path | None = None,
) -> Mod:
    """A mod for a ``ClientApp`` that makes some of its clients hostile, round by round, by labels alone.

    ``model()`` makes the module that the arrays which come belong to; ``data(context)`` is the client's own training
    set, of (input, label) items. ``clients`` says who is hostile: that many of the first ``partition-id``s, those of
    a collection, or whoever ``clients(context)`` is true of. Each flips at most the share ``local_budget`` of its
    labels, by a rule of ``turncoat.attack.SELECTIONS`` or one's own, to the harm of Δ = ``direction(module, context)``;
    without one, of minus its own honest gradient. The training takes the flips by ``flipped(dataset, context)``.
    Selection "planned" follows a ``plan`` of the whole training, or the file that its ``save`` wrote: it has a budget
    and a direction of its own, and what it holds for its round r is done in the server's round r + 1.

    Raises:
        TurncoatError: for a value that can't be one. A client whose data or model do not fit, or whose training never
            asks for the flips, replies with one line that says so, at which our strategies stop.
    """
    for name, call in (("model", model), ("data", data)):
        if not callable(call):
            raise TurncoatError(
                f"{name} is {errors.shown(call)}, but must be a function, such as {_FORMS[name]}"
            )
    _check_clients(clients)
    if selection in GRADIENT_ATTACKS:
        raise TurncoatError(
            f"selection {selection!r} forges messages, but a hostile client only flips labels: use 'optimal'"
        )
    if followed := to_follow(selection, plan, local_budget, direction):
        local_budget = followed.made.threat.local_budget
    else:
        resolve(selection)
    threat = Threat(1.0, local_budget, selection=selection)
    attacker = _Attacker(model, data, threat, direction, errors.whole(seed, "seed"), followed)

    def mod(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        if not message.metadata.message_type.startswith(MessageType.TRAIN):
            return call_next(message, context)
        try:
            flips = _chosen(attacker, message, context) if _is_hostile(clients, context) else None
            reply = _trained(flips, message, context, call_next)
        except TurncoatError as error:
            return refused(message, error)
        if flips is not None and not reply.has_error():
            reply.content[REPORT] = _report(attacker.threat, flips)
        return reply

    return mod


def _trained(
    flips: Flips | None, message: Message, context: Context, call_next: ClientAppCallable
) -> Message:
    """The training's reply, with the flips at hand while it lasts."""
    handover.put(context, flips)
    try:
        reply = call_next(message, context)
        if flips is not None and not handover.taken(context):
            raise TurncoatError(
                "the flips were not taken: put turncoat.flower.flipped(dataset, context) around the data set in the"
                " client's training"
            )
    finally:
        handover.clear(context)
    return reply


_FORMS = {"model": "lambda: Net()", "data": "lambda context: my_dataset"}


def _check_clients(clients: object) -> None:
    if callable(clients) or (isinstance(clients, Collection) and not isinstance(clients, str)):
        return
    errors.whole(clients, "clients (a number, a collection of partition-ids or a function of the context)")


def _is_hostile(clients: int | Collection[int] | Callable[[Context], bool], context: Context) -> bool:
    if callable(clients):
        return bool(clients(context))
    if "partition-id" not in context.node_config:
        raise TurncoatError(
            "this node has no 'partition-id' in its node config: say who is hostile by clients=lambda context: …"
        )
    own = int(context.node_config["partition-id"])
    return own < clients if isinstance(clients, int) else own in clients


def _chosen(attacker: _Attacker, message: Message, context: Context) -> Flips:
    """The flips of this round: the place for every way to choose them."""
    module = _loaded(attacker.model(), message)
    loader, size = _read(attacker.data(context))
    aim = attacker.direction
    rule = attacker.threat.selection
    if attacker.plan is not None:
        rule = following(attacker.plan, loader, _turn(message) - 1)
    return worst_flips(
        module,
        loader,
        flips=attacker.threat.allowance(size),
        direction="untargeted" if aim is None else aim(module, context),
        selection=rule,
        generator=_draw(attacker.seed, message, context, attacker.plan),
    )


def _read(dataset: Any) -> tuple[DataLoader, int]:
    """A loader in the data set's order, and the number of its examples."""
    try:
        size = len(dataset)
    except TypeError as error:
        raise TurncoatError(
            f"data(context) is {errors.shown(dataset)}, but must be a data set with a length and (input, label) items"
        ) from error
    return DataLoader(dataset, batch_size=BATCH), size


def _loaded(module: nn.Module, message: Message) -> nn.Module:
    records = list(message.content.array_records.values())
    if len(records) != 1:
        raise TurncoatError(f"{len(records)} records of arrays came, but one model's are needed")
    try:
        module.load_state_dict(records[0].to_torch_state_dict())
    except (RuntimeError, AttributeError) as error:
        raise TurncoatError(
            f"the arrays that came do not fit the model of hostile(...): {errors.reason(error)}"
        ) from error
    return module


def _draw(seed: int, message: Message, context: Context, plan: Plan | None) -> torch.Generator:
    """Random rules draw anew each round, the same in every run of the seed; flips that are chosen once, once."""
    once = plan is not None and plan.made.threat.schedule == "once"
    who = context.node_config.get("partition-id", context.node_id)
    return generator(seed, "selection", 0 if once else _turn(message), int(who))


def _turn(message: Message) -> int:
    """The server's round, from 1."""
    rounds = [
        record["server-round"]
        for record in message.content.config_records.values()
        if "server-round" in record
    ]
    if not rounds:
        raise TurncoatError(
            "the message says no 'server-round': let the strategy put it into the train config"
        )
    return int(rounds[0])


def _report(threat: Threat, flips: Flips) -> ConfigRecord:
    rule = threat.selection
    return ConfigRecord(
        {
            "selection": rule if isinstance(rule, str) else getattr(rule, "__name__", repr(rule)),
            "local-budget": threat.local_budget,
            "flips": len(flips.indices),
            "objective-before": flips.alignment_before,
            "objective-after": flips.alignment_after,
        }
    )
