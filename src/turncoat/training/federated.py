"""The federated way: workers compute, hostile ones cheat, the server aggregates and steps."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

from turncoat.direction import Params
from turncoat.federation.attacks import GRADIENT_ATTACKS
from turncoat.federation.aware import Sample, seen, sent
from turncoat.federation.crowd import Crowd
from turncoat.federation.federation import Federation
from turncoat.federation.in_training import mean_statistics, sent_in_training
from turncoat.federation.messages import example_norms, unpack
from turncoat.federation.visibility import SIGNS, label_shift, signs
from turncoat.models.stack import moved
from turncoat.planning.server import Server
from turncoat.randomness import generator
from turncoat.threat import Threat
from turncoat.training.in_training import note_objectives, of_workers
from turncoat.training.rounds import decide, groups, strikes
from turncoat.training.steps import attackers_step, draws
from turncoat.training.task import Rows, RunState, Task

EXAMPLES = 8  # per worker, behind a per-example gradient norm


@dataclasses.dataclass(frozen=True)
class Federated:
    """Every worker trains on its own data and sends messages to the server; a ``Way``."""

    crowd: Crowd

    @property
    def repeats(self) -> bool:
        """No: attacks, rules and looks at messages change with the step."""
        return False

    def steps(self, task: Task) -> int:
        """As many as the server has rounds."""
        return self.crowd.rounds

    def batches(self, task: Task, epoch: int, done: int, many: int) -> Iterator[tuple[int, Tensor]]:
        """The batches of all workers, (1, w, b) for every report."""
        rounds = self.crowd.epoch(task.seed, epoch)
        yield from ((t + 1, rounds[t : t + 1]) for t in range(done, len(rounds)))

    def turns(self, task: Task) -> tuple[int, ...]:
        """A round is an epoch."""
        return (0,)

    def pool(self, task: Task, threats: Sequence[Threat], epoch: int) -> Rows:
        """All examples, worker by worker; the hostile ones' shards are written to by every threat."""
        crowd, blocks = self.crowd, self.crowd.blocks
        sizes = torch.full((len(threats),), blocks[-1][1] if blocks else 0, device=task.x.device)
        sample = None
        if threats[0].aware:
            rounds = seen(crowd.epoch(task.seed, epoch), crowd.federation.hostile, threats[0].knowledge)
            who = torch.stack([crowd.present(task.seed, epoch, turn) for turn in range(len(rounds))])
            own = torch.stack([all_rows[some] for all_rows, some in zip(rounds, who, strict=True)])
            sample = Sample(crowd, own, who)
        return Rows(task.x, task.y, crowd.order, sizes, blocks, crowd.honest, sample)

    def server(self, task: Task, threats: Sequence[Threat]) -> Server:
        """What attackers that plan know of the workers and of the server: its rule only if they are aware."""
        crowd, first = self.crowd, threats[0]
        hostile = crowd.federation.hostile
        shards = crowd.shards
        if first.knowledge != "omniscient":  # its own workers' data, in the place of the others' too
            own = tuple(torch.arange(start, stop, device=task.y.device) for start, stop in crowd.blocks)
            shards = tuple(own[i % hostile] for i in range(len(shards)))
        sizes = [len(shard) for shard in shards[:hostile]]
        flips = torch.tensor([[threat.allowance(size) for threat in threats] for size in sizes])
        beta = crowd.federation.worker_momentum
        return Server(
            shards=shards,
            flips=flips.to(task.y.device),
            rule=crowd.update if first.aware else crowd.average,
            # a running mean scatters as little as a batch of so many more examples
            batch=round(crowd.batch * (1 + beta) / (1 - beta)),
            present=crowd.federation.present,
            local_steps=crowd.federation.local_steps,
        )

    def step(self, task: Task, state: RunState, rows: Int[Tensor, "w b"]) -> None:
        """All replicas take one step on the messages of the workers that take part."""
        crowd = self.crowd
        who = crowd.present(task.seed, state.epoch, state.row)
        rows = rows if len(who) == len(rows) else rows[who]
        assert state.labels is not None
        x = task.x.index_select(0, rows.flatten()).unflatten(0, rows.shape)
        labels = state.labels.index_select(0, rows.flatten()).unflatten(0, rows.shape)
        if task.schedule == "step":
            labels = self._attacked(task, state, rows, who, x, labels)
        messages, statistics = self._sent(task, state, who, x, labels)
        if crowd.federation.worker_momentum:
            messages = _with_momentum(state, messages, who, crowd.federation)
        messages = forge(task, state, crowd.hostile_of(who), messages)
        if state.step in crowd.watched:
            _watch(task, state, crowd, who, rows, x, labels, messages)
        update = crowd.update(messages, who)
        _apply(task, state, crowd, update)
        for name, value in statistics.items():
            state.params[name].copy_(value)
        own = slice(0, crowd.hostile_of(who))
        attackers_step(task, state, rows[own].flatten(), x[own].flatten(0, 1))

    def _sent(
        self, task: Task, state: RunState, who: Int[Tensor, " w"], x: Tensor, labels: Integer[Tensor, "w b r"]
    ) -> tuple[Float[Tensor, "r w p"], Params]:
        """What these workers send for these labels, and the statistics that the server has afterwards, if any."""
        model, crowd = task.model, self.crowd
        rate = task.recipe.rate(state.step + 1, self.steps(task))
        if model.in_training is None:
            return sent(model, crowd, state.params, x, labels, rate), {}
        local = range(crowd.federation.local_steps)
        seeds = [[draws(task, state, state.step + 1, w, i) for i in local] for w in who.tolist()]
        found, kept = sent_in_training(model, model.in_training, state.params, x, labels, seeds, rate)
        return found, mean_statistics(kept, crowd.weights(who).float())

    def samples(self, replicas: int) -> np.ndarray:
        """As many looks as the crowd is watched."""
        return np.full((len(self.crowd.watched), replicas, len(self.crowd.shards), len(SIGNS)), np.nan)

    def _attacked(
        self,
        task: Task,
        state: RunState,
        rows: Int[Tensor, "w b"],
        who: Int[Tensor, " w"],
        x: Tensor,
        labels: Integer[Tensor, "w b r"],
    ) -> Integer[Tensor, "w b r"]:
        """Schedule "step": the attacker's turn on its workers' batches of this very step."""
        w, b = rows.shape
        hostile = self.crowd.hostile_of(who)
        y = task.y[rows.flatten()]
        labels = labels.clone()
        places = tuple((i * b, (i + 1) * b) for i in range(w))
        blocks, honest = places[:hostile], places[hostile:]
        if not blocks:
            return labels
        order = torch.arange(w * b, device=rows.device)  # the hostile workers' rows stand first
        for group in groups(task, state):
            if not strikes(task, group.threats[0], state.epoch):
                continue
            sizes = torch.full((len(group.threats),), hostile * b, device=rows.device)
            threat = group.threats[0]
            sample = None
            if threat.aware:
                round_ = seen(order.view(1, w, b), hostile, threat.knowledge)
                sample = Sample(self.crowd, round_, who.unsqueeze(0))
            batch = Rows(x.flatten(0, 1), y, order, sizes, blocks, honest, sample)
            outcome = decide(task, state, group, batch, (state.epoch, state.row))
            outcome.write(labels.flatten(0, 1))
            share = 1 / self.crowd.rounds
            state.note(outcome.columns, outcome.report, share)
            coming = of_workers(rows, labels, who, state.step + 1, task.recipe.batch_size)
            note_objectives(task, state, group, coming, share)
        return labels


def forge(
    task: Task, state: RunState, hostile: int, messages: Float[Tensor, "r w p"]
) -> Float[Tensor, "r w p"]:
    """Put gradient attacks, where a replica's threat is one, in the place of the first ``hostile`` messages."""
    for name, attack in GRADIENT_ATTACKS.items():
        columns = [
            c for c, i in enumerate(state.alive.tolist())
            if task.threats[i].selection == name and strikes(task, task.threats[i], state.epoch)
        ]  # fmt: skip
        if columns and 0 < hostile < messages.shape[1]:
            draw = generator(task.seed, "gradient attack", state.step)
            honest = messages[columns, hostile:]
            messages = messages.clone()
            messages[torch.tensor(columns), :hostile] = attack(honest, hostile, draw)
    return messages


def _with_momentum(
    state: RunState, sent: Float[Tensor, "r m p"], who: Int[Tensor, " m"], federation: Federation
) -> Float[Tensor, "r m p"]:
    """Running means of the workers that take part; the others' stay as they are."""
    if state.memory is None:
        state.memory = sent.new_zeros(len(sent), federation.workers, sent.shape[2])
    beta = federation.worker_momentum
    own = state.memory[:, who].mul(beta).add_(sent, alpha=1 - beta)
    state.memory = state.memory.index_copy(1, who.to(own.device), own)
    return own


def _watch(
    task: Task,
    state: RunState,
    crowd: Crowd,
    who: Int[Tensor, " w"],
    rows: Int[Tensor, "w b"],
    x: Tensor,
    labels: Integer[Tensor, "w b r"],
    sent: Float[Tensor, "r w p"],
) -> None:
    few = slice(0, EXAMPLES)
    norms = [  # one worker at a time keeps memory small
        example_norms(task.model, state.params, xs, ys).mean(0)
        for xs, ys in zip(x[:, few], labels[:, few], strict=True)
    ]
    classes = task.model.classes
    shifts = [label_shift(new, task.y[own], classes) for new, own in zip(labels, rows, strict=True)]
    found = signs(sent, crowd.hostile_of(who), torch.stack(norms), torch.stack(shifts))
    turn = sorted(crowd.watched).index(state.step)
    there = np.ix_(state.alive.cpu().numpy(), who.numpy())
    state.samples[turn][there] = found.cpu().numpy()


def _apply(task: Task, state: RunState, crowd: Crowd, update: Float[Tensor, "r p"]) -> None:
    state.step += 1
    params = moved(task.model, state.params)
    step = unpack(task.model, update, params)
    if crowd.federation.local_steps > 1:  # the workers have stepped already: the server takes their mean
        for name, value in params.items():
            value.sub_(step[name])
        return

    def add(into: Params, weight: float) -> None:
        for name, value in into.items():
            value.add_(step[name], alpha=weight)

    task.optimizer.update(params, state.slots, state.step, add)
