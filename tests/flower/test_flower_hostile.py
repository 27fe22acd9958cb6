"""A hostile client: its flips are those of worst_flips, its training gets them, and nothing of them stays."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

pytest.importorskip("flwr", reason="needs pip install 'turncoat[flower]'")

from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from one_process import Here, instruction

import turncoat
from turncoat import FlippedLabels, Recipe, Threat, TurncoatError, from_arrays, worst_flips
from turncoat.attack import SELECTIONS
from turncoat.flower import RobustStrategy, flipped, hostile
from turncoat.randomness import generator

CLASSES = 3


def make():
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, CLASSES))


def examples(context):
    draw = torch.Generator().manual_seed(int(context.node_config["partition-id"]))
    return TensorDataset(torch.randn(20, 4, generator=draw), torch.randint(CLASSES, (20,), generator=draw))


def start(seed=0) -> ArrayRecord:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ArrayRecord(make().state_dict())


def app_of(mod, data=examples, takes=True):
    """An app whose clients note the labels they would train on."""
    app = ClientApp(mods=[mod])
    app.seen = []

    def answer(message, context):
        dataset = flipped(data(context), context) if takes else data(context)
        app.seen.append([int(dataset[i][1]) for i in range(len(dataset))])
        content = {
            "arrays": message.content["arrays"],
            "metrics": MetricRecord({"num-examples": len(dataset)}),
        }
        return Message(RecordDict(content), reply_to=message)

    app.train()(answer)
    app.evaluate()(answer)
    return app


def sent_to(app, node=1, server_round=1, kind="train", nodes=4):
    grid = Here(app, nodes)
    (reply,) = grid.send_and_receive([instruction(start(), node, server_round, kind)])
    return reply, grid.contexts[node]


def expected(node=1, budget=0.5, selection="optimal", server_round=1, seed=0):
    module = make()
    module.load_state_dict(start().to_torch_state_dict())
    x, y = examples(Here(ClientApp(), 4).contexts[node]).tensors
    draw = generator(seed, "selection", server_round, node - 1)
    return worst_flips(module, x, y, int(budget * len(y)), selection=selection, generator=draw), y


PARAMETRIC_RULES = ["source_to_target:0:1", "all_to_one:0", "class_by_class:0.6:1"]


@pytest.mark.parametrize("selection", [*SELECTIONS, *PARAMETRIC_RULES])
def test_the_training_gets_the_flips_that_worst_flips_chooses(selection):
    app = app_of(hostile(make, examples, clients=1, selection=selection, local_budget=0.5))
    sent_to(app)
    flips, clean = expected(selection=selection)
    assert app.seen == [flips.labels.tolist()]
    assert 0 < int((flips.labels != clean).sum()) <= 10


def test_what_a_hostile_client_did_stands_in_its_reply():
    app = app_of(hostile(make, examples, clients=1, local_budget=0.5))
    reply, _ = sent_to(app)
    report = reply.content["turncoat"]
    flips, _ = expected()
    assert (report["flips"], report["selection"], report["local-budget"]) == (10, "optimal", 0.5)
    assert report["objective-before"] == pytest.approx(flips.alignment_before)
    assert report["objective-after"] == pytest.approx(flips.alignment_after)
    assert dict(reply.content["metrics"]) == {"num-examples": 20}


@pytest.mark.parametrize(
    ("clients", "whose"),
    [(2, {1, 2}), ([3], {4}), ({0, 2}, {1, 3}), (0, set()), (lambda context: context.node_id == 3, {3})],
)
def test_who_is_hostile(clients, whose):
    app = app_of(hostile(make, examples, clients=clients))
    for node in (1, 2, 3, 4):
        reply, context = sent_to(app, node)
        clean = [int(label) for _, label in examples(context)]
        assert (app.seen[-1] != clean) == ("turncoat" in reply.content) == (node in whose)


def test_labels_are_clean_again_after_the_round_and_while_evaluating():
    app = app_of(hostile(make, examples, clients=1))
    _, context = sent_to(app)
    assert not list(context.state)
    sent_to(app, kind="evaluate")
    assert app.seen[1] == [int(label) for _, label in examples(context)] != app.seen[0]


def test_random_flips_are_drawn_anew_each_round_and_the_same_in_each_run():
    rounds = []
    for server_round in (1, 2, 1):
        app = app_of(hostile(make, examples, clients=1, selection="random", local_budget=0.5, seed=7))
        sent_to(app, server_round=server_round)
        rounds.append(app.seen[0])
    flips, _ = expected(selection="random", seed=7)
    assert rounds[0] == rounds[2] == flips.labels.tolist()
    assert rounds[0] != rounds[1]


def test_a_direction_of_ones_own():
    toward = {name: torch.ones_like(value) for name, value in make().named_parameters()}
    app = app_of(
        hostile(make, examples, clients=1, local_budget=0.5, direction=lambda module, context: toward)
    )
    sent_to(app)
    module = make()
    module.load_state_dict(start().to_torch_state_dict())
    x, y = examples(Here(app, 4).contexts[1]).tensors
    assert app.seen[0] == worst_flips(module, x, y, 10, direction=toward).labels.tolist()


@pytest.fixture(scope="module")
def plan():
    draw = torch.Generator().manual_seed(9)
    x, y = torch.randn(60, 4, generator=draw), torch.randint(CLASSES, (60,), generator=draw)
    data = from_arrays(x.numpy(), y.numpy(), x_test=x.numpy(), y_test=y.numpy())
    return turncoat.plan(data, threat=Threat(1.0, 0.5), recipe=Recipe(epochs=4, learning_rate=0.5), rounds=8)


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize("server_round", [1, 4])
def test_a_plan_is_followed_round_by_round(saved, server_round, plan, tmp_path):
    plan.save(tmp_path / "plan.npz")
    given = str(tmp_path / "plan.npz") if saved else plan
    app = app_of(hostile(make, examples, clients=1, selection="planned", plan=given))
    reply, context = sent_to(app, server_round=server_round)
    x, y = examples(context).tensors
    draw = generator(0, "selection", server_round, 0)
    wanted = plan.flips(x, y, range(20), server_round - 1, draw)
    assert app.seen == [wanted.tolist()] and 0 < int((wanted != y).sum()) <= 10
    report = reply.content["turncoat"]
    assert (report["selection"], report["local-budget"]) == ("planned", 0.5)
    assert report["flips"] == int((wanted != y).sum())


def test_a_plan_that_is_chosen_once_stays(plan):
    made = dataclasses.replace(plan.made, threat=dataclasses.replace(plan.made.threat, schedule="once"))
    once = turncoat.Plan(made, plan.policy)
    app = app_of(hostile(make, examples, clients=1, selection="planned", plan=once))
    for server_round in (1, 3):
        sent_to(app, server_round=server_round)
    assert app.seen[0] == app.seen[1]


def test_the_data_set_is_ours_only_where_the_client_is_hostile():
    kinds = []
    app = ClientApp(mods=[hostile(make, examples, clients=1)])

    @app.train()
    def train(message, context):
        kinds.append(type(flipped(examples(context), context)))
        loader = DataLoader(flipped(examples(context), context), batch_size=8)
        assert sum(len(y) for _, y in loader) == 20
        return Message(RecordDict({"metrics": MetricRecord({"num-examples": 20})}), reply_to=message)

    sent_to(app, 1)
    sent_to(app, 2)
    assert kinds == [FlippedLabels, TensorDataset]


class TestBadInput:
    def refuses(
        self, told, data=examples, model=make, message=None, takes=True, node_config=None, **arguments
    ):
        app = app_of(hostile(model, data, **{"clients": 1} | arguments), data, takes)
        grid = Here(app, 1)
        if node_config is not None:
            grid.contexts[1].node_config = node_config
        (reply,) = grid.send_and_receive([message or instruction(start())])
        assert reply.has_error() and re.search(told, reply.error.reason)
        assert "\n" not in reply.error.reason
        assert not list(grid.contexts[1].state)
        with pytest.raises(TurncoatError, match=f"round 3, node 1: .*{told}"):
            RobustStrategy("mean", tolerated=0).aggregate_train(3, [reply])

    def test_labels_that_are_no_integers(self):
        def halves(context):
            return TensorDataset(torch.randn(6, 4), torch.tensor([0.5, 1, 1, 0, 2, 0]))

        self.refuses("label", halves)

    def test_labels_that_are_words(self):
        class Words(torch.utils.data.Dataset):
            def __len__(self):
                return 2

            def __getitem__(self, index):
                return torch.randn(4), "cat"

        self.refuses("label", lambda context: Words())

    def test_a_training_that_never_takes_the_flips(self):
        self.refuses(r"were not taken: put turncoat.flower.flipped\(dataset, context\)", takes=False)

    def test_a_model_that_is_not_the_arrays(self):
        self.refuses("do not fit the model", model=lambda: nn.Linear(4, 3))

    def test_data_without_a_length(self):
        self.refuses("must be a data set with a length", lambda context: iter([]))

    def test_a_message_that_says_no_round(self):
        message = instruction(start())
        del message.content["config"]["server-round"]
        self.refuses("no 'server-round'", message=message)

    def test_a_node_without_a_partition(self):
        self.refuses("no 'partition-id' in its node config", node_config={})

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            ({"selection": "optmal"}, "unknown selection 'optmal'; did you mean 'optimal'"),
            (
                {"selection": "sign_flip"},
                "'sign_flip' forges messages, but a hostile client only flips labels",
            ),
            ({"local_budget": 1.5}, "local_budget is 1.5"),
            ({"clients": -1}, "clients .* is -1"),
            ({"clients": "first"}, "clients .* is 'first'"),
            ({"seed": 0.5}, "seed is 0.5"),
            ({"sellection": "optimal"}, "no argument 'sellection'; did you mean 'selection'"),
            ({"model": "mlp"}, "model is 'mlp', but must be a function"),
            ({"selection": "planned"}, r"follows a plan: give plan='plan.npz', the file of turncoat.plan"),
            ({"plan": "plan.npz"}, "selection 'optimal' does not follow it: set selection='planned'"),
            ({"selection": "planned", "plan": 3}, "plan is 3, but must be a Plan or the file of one"),
            ({"selection": "planned", "plan": "gone.npz"}, "gone.npz"),
        ],
    )
    def test_what_is_refused_when_the_app_is_made(self, as_users_run, arguments, told):
        with pytest.raises(TurncoatError, match=told):
            hostile(**{"model": make, "data": examples, "clients": 1} | arguments)


@pytest.mark.parametrize("arguments", [{"local_budget": 0.3}, {"direction": lambda module, context: {}}])
def test_a_plan_has_a_budget_and_a_direction_of_its_own(as_users_run, arguments, plan):
    with pytest.raises(TurncoatError, match=r"here 0\.5: leave direction and local_budget out"):
        hostile(make, examples, 1, selection="planned", plan=plan, **arguments)


def test_a_plan_of_other_examples_ends_the_run(plan):
    def wider(context):
        return TensorDataset(torch.randn(6, 5), torch.tensor([0, 1, 1, 0, 2, 0]))

    app = app_of(hostile(lambda: nn.Linear(5, 3), wider, clients=1, selection="planned", plan=plan), wider)
    arrays = ArrayRecord(nn.Linear(5, 3).state_dict())
    (reply,) = Here(app, 1).send_and_receive([instruction(arrays)])
    assert reply.has_error() and "x has 5 features, but the plan was made for 4" in reply.error.reason


def test_flips_outlive_the_trip_through_flower_s_records():
    """In the engine a context is written out and read back between mod and training of other processes."""
    from flwr.common.serde import recorddict_from_proto, recorddict_to_proto

    from turncoat.flower import handover

    flips, clean = expected()
    context = Here(ClientApp(), 1).contexts[1]
    handover.put(context, flips)
    context.state = recorddict_from_proto(recorddict_to_proto(context.state))
    dataset = flipped(examples(context), context)
    assert [int(y) for _, y in dataset] == flips.labels.tolist()
    assert np.flatnonzero(flips.labels != clean).tolist() == sorted(dataset.changed)
