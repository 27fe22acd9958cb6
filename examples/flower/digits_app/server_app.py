"""The server: any of turncoat's rules, and a store that turncoat's tables and figures read."""

from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train for as many rounds as the run's config says."""
    from turncoat.flower import Recorder, RobustStrategy

    from digits_app import task

    config = context.run_config
    strategy = RobustStrategy(
        config["aggregator"],
        tolerated=config["hostile"],
        min_train_nodes=task.CLIENTS,
        min_available_nodes=task.CLIENTS,
        fraction_evaluate=0.0,
    )
    if config["store"]:
        strategy = Recorder(strategy, config["store"], **setting(config))

    def evaluate(server_round: int, arrays: ArrayRecord) -> MetricRecord:
        model = task.make()
        model.load_state_dict(arrays.to_torch_state_dict())
        return MetricRecord(task.test(model))

    start = ArrayRecord(task.make().state_dict())
    strategy.start(grid, start, num_rounds=config["rounds"], evaluate_fn=evaluate)


def setting(config) -> dict:
    """What the store is told of the run: the same words as for a federation of turncoat's own."""
    from turncoat import Federation, Recipe, Threat

    from digits_app import task

    batch = config["batch-size"]
    steps = -(-len(task.shard(0, config["partition"], config["seed"])) // batch)
    federation = Federation(
        workers=task.CLIENTS,
        hostile=config["hostile"],
        partition=config["partition"],
        local_steps=steps,
        aggregator=config["aggregator"],
    )
    attacked = config["hostile"] and config["selection"] != "none"
    threat = Threat(
        write_access=federation.write_access,
        local_budget=config["budget"],
        selection=config["selection"],
        knowledge="local",
    )
    return {
        "dataset": "digits",
        "model": "softmax",
        "recipe": Recipe(batch_size=batch, learning_rate=config["learning-rate"]),
        "federation": federation,
        "threat": threat if attacked else Threat(),
        "seed": config["seed"],
    }
