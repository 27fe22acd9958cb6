"""Recorder: a Flower run in a store of ours, beside our own runs."""

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

pytest.importorskip("flwr", reason="needs pip install 'turncoat[flower]'")

from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg
from one_process import Here

from turncoat import Federation, Recipe, Threat, TurncoatError
from turncoat.figures import FIGURES
from turncoat.flower import Recorder, RobustStrategy, flipped, hostile
from turncoat.sweep.store import open_store

ROUNDS = 4


def make():
    return torch.nn.Linear(2, 2)


def examples(context):
    draw = torch.Generator().manual_seed(int(context.node_config["partition-id"]))
    x = torch.randn(24, 2, generator=draw)
    return TensorDataset(x, (x[:, 0] > 0).long())


def clients(*mods):
    app = ClientApp(mods=list(mods))

    @app.train()
    def train(message, context):
        model = make()
        model.load_state_dict(message.content["arrays"].to_torch_state_dict())
        dataset = flipped(examples(context), context)
        x, y = (
            dataset[0][0].new_tensor([[*dataset[i][0]] for i in range(24)]),
            [int(d[1]) for d in map(dataset.__getitem__, range(24))],
        )
        torch.nn.functional.cross_entropy(model(x), torch.tensor(y)).backward()
        with torch.no_grad():
            for value in model.parameters():
                value -= 0.5 * value.grad
        content = {"arrays": ArrayRecord(model.state_dict()), "metrics": MetricRecord({"num-examples": 24})}
        return Message(RecordDict(content), reply_to=message)

    @app.evaluate()
    def evaluate(message, context):
        return Message(
            RecordDict({"metrics": MetricRecord({"num-examples": 24, "accuracy": 0.25})}), reply_to=message
        )

    return app


def accuracy(server_round, arrays):
    return MetricRecord(
        {"accuracy": 0.5 + server_round / 10, "macro_f1": 0.4, "loss": 1 / (1 + server_round)}
    )


def recorded(store, *mods, strategy=None, evaluate_fn=accuracy, rounds=ROUNDS, **setting):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        start = ArrayRecord(make().state_dict())
    recorder = Recorder(
        strategy or RobustStrategy("median", tolerated=2, fraction_evaluate=0.0), store, **setting
    )
    recorder.start(Here(clients(*mods), 6), start, rounds, evaluate_fn=evaluate_fn)
    return recorder


@pytest.fixture
def store(tmp_path):
    return tmp_path / "flower.db"


def test_a_run_with_nothing_but_a_strategy_and_a_store(store):
    recorded(store, hostile(make, examples, clients=2, local_budget=0.25))
    with open_store(store) as opened:
        curves = opened.curves()
    assert curves["accuracy"].tolist() == pytest.approx([0.6, 0.7, 0.8, 0.9])
    assert curves["test_loss"].tolist() == pytest.approx([1 / 2, 1 / 3, 1 / 4, 1 / 5])
    assert (curves["flips"] > 0).all() and (curves["flips"] <= 12).all()
    assert (curves["objective_after"] < curves["objective_before"]).all()
    first = curves.iloc[0]
    assert (first["workers"], first["hostile"], first["aggregator"], first["tolerated"]) == (
        6,
        2,
        "median",
        2,
    )
    assert (first["selection"], first["local_budget"], first["write_access"]) == ("optimal", 0.25, 1 / 3)
    assert (first["model"], first["epochs"]) == ("flower:app", ROUNDS)


SETTING = {
    "dataset": "digits",
    "model": "linear",
    "recipe": Recipe(batch_size=24, learning_rate=0.5),
    "federation": Federation(workers=6, hostile=2, aggregator="median"),
}


def test_harm_is_told_where_the_clean_run_of_the_seed_is_there_too(store):
    attack = hostile(make, examples, clients=2)
    for seed in (0, 1):
        recorded(store, seed=seed, threat=Threat(), **SETTING)
        recorded(
            store,
            attack,
            seed=seed,
            threat=Threat(1.0),
            evaluate_fn=lambda turn, arrays: MetricRecord({"accuracy": 0.3}),
            **SETTING,
        )
    with open_store(store) as opened:
        summary = opened.summary().set_index("selection")
        seen = opened.visibility()
    attacked = summary[summary["write_access"] > 0].iloc[0]
    assert attacked["harm.mean"] == pytest.approx(0.9 - 0.3)
    assert attacked["seeds"] == 2 and attacked["chance"] == pytest.approx(0.1, abs=0.01)
    assert attacked["visibility.norm_ratio"] > 0 and 0.5 <= attacked["visibility.auc_cosine"] <= 1
    assert np.isnan(attacked["visibility.label_shift"])
    assert len(seen) == 2 * 2 * ROUNDS * 6


def test_figures_show_it(store, tmp_path):
    for seed in (0, 1):
        recorded(store, seed=seed, threat=Threat(), **SETTING)
        recorded(store, hostile(make, examples, clients=2), seed=seed, threat=Threat(1.0), **SETTING)
    with open_store(store) as opened:
        frames = {"curves": opened.curves(), "visibility": opened.visibility()}
    for name in ("matrix", "visibility"):
        figure = FIGURES[name]
        assert figure.draw(frames[figure.reads]) is not None


def test_a_client_that_does_not_reply_leaves_its_place_empty(store):
    strategy = RobustStrategy("median", fraction_train=0.5, min_train_nodes=3, fraction_evaluate=0.0)
    recorded(store, strategy=strategy, **SETTING)
    with open_store(store) as opened:
        norms = opened.visibility()["norm"].to_numpy().reshape(ROUNDS, 6)
    assert (np.isfinite(norms).sum(1) == 3).all()


def test_the_clients_own_measure_counts_where_the_server_has_none(store):
    recorded(store, strategy=RobustStrategy("mean", tolerated=0), evaluate_fn=None)
    with open_store(store) as opened:
        assert opened.curves()["accuracy"].tolist() == pytest.approx([0.25] * ROUNDS)


def test_any_strategy_may_be_recorded_and_goes_by_the_mean(store):
    recorded(store, strategy=FedAvg(fraction_evaluate=0.0))
    with open_store(store) as opened:
        assert opened.curves()["aggregator"].unique() == ["mean"]


def test_a_strategy_does_the_same_with_and_without_it(store):
    start = ArrayRecord(make().state_dict())
    results = []
    for wrap in (lambda strategy: strategy, lambda strategy: Recorder(strategy, store)):
        strategy = wrap(RobustStrategy("median", fraction_evaluate=0.0))
        results.append(strategy.start(Here(clients(), 4), start, 3, evaluate_fn=accuracy))
    for name, array in results[0].arrays.items():
        np.testing.assert_array_equal(array.numpy(), results[1].arrays[name].numpy())
    assert results[0].train_metrics_clientapp == results[1].train_metrics_clientapp


def test_a_run_that_is_there_already_stays_as_it_is(store, caplog):
    recorded(store)
    recorded(store, evaluate_fn=lambda turn, arrays: MetricRecord({"accuracy": 0.1}))
    with open_store(store) as opened:
        assert opened.curves()["accuracy"].iloc[-1] == pytest.approx(0.9)


class TestBadInput:
    def test_nobody_measures_the_accuracy(self, store):
        with pytest.raises(TurncoatError, match="round 1: nobody has measured the accuracy"):
            recorded(store, evaluate_fn=lambda turn, arrays: MetricRecord({"loss": 1.0}))
        assert not store.exists()

    def test_nobody_measures_it_in_the_only_round(self, store):
        with pytest.raises(TurncoatError, match="round 1: nobody has measured the accuracy"):
            recorded(store, evaluate_fn=None, rounds=1)

    def test_a_store_in_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(TurncoatError, match="there is no folder"):
            Recorder(FedAvg(), tmp_path / "none" / "a.db")

    def test_no_strategy(self, store, as_users_run):
        with pytest.raises(TurncoatError, match="strategy is 'median', but must be one of flwr"):
            Recorder("median", store)

    def test_a_threat_that_is_not_what_the_clients_did(self, store):
        with pytest.raises(TurncoatError, match="but no client was hostile"):
            recorded(store, threat=Threat(1.0), **SETTING)
        with pytest.raises(TurncoatError, match="but 2 clients were hostile"):
            recorded(store, hostile(make, examples, clients=2), threat=Threat(), **SETTING)
        assert not store.exists()

    def test_a_client_that_refuses_ends_the_run(self, store):
        mod = hostile(lambda: torch.nn.Linear(3, 2), examples, clients=1)
        with pytest.raises(TurncoatError, match="round 1, node 1: the arrays that came do not fit the model"):
            recorded(store, mod, strategy=FedAvg())

    def test_a_rule_without_a_name(self, store):
        strategy = RobustStrategy(lambda messages: messages.mean(0), fraction_evaluate=0.0)
        with pytest.raises(TurncoatError, match="the rule is a function of your own"):
            recorded(store, strategy=strategy)
