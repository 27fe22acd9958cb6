"""The clients: an ordinary app, made hostile by two lines."""

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp


def attack(message: Message, context: Context, call_next):
    """The mod, told by the run's config who is hostile and how."""
    from turncoat.flower import hostile

    from digits_app import task

    config = context.run_config
    if config["selection"] == "none":
        return call_next(message, context)
    mod = hostile(
        task.make,
        examples,
        clients=config["hostile"],
        selection=config["selection"],
        local_budget=config["budget"],
        seed=config["seed"],
        plan=config["plan"] or None,
    )
    return mod(message, context, call_next)


def examples(context: Context):
    """The client's own data set."""
    from digits_app import task

    config = context.run_config
    return task.shard(context.node_config["partition-id"], config["partition"], config["seed"])


app = ClientApp(mods=[attack])  # the first line


@app.train()
def train(message: Message, context: Context) -> Message:
    """One local epoch from the arrays that came."""
    import torch
    from torch.utils.data import DataLoader
    from turncoat.flower import flipped
    from turncoat.randomness import generator

    from digits_app import task

    torch.set_num_threads(1)
    config = context.run_config
    model = task.make()
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    dataset = flipped(examples(context), context)  # the second line
    turn = message.content["config"]["server-round"]
    draw = generator(config["seed"], "order", turn, context.node_config["partition-id"])
    loader = DataLoader(dataset, batch_size=config["batch-size"], shuffle=True, generator=draw)
    task.train(model, loader, config["learning-rate"])
    content = {
        "arrays": ArrayRecord(model.state_dict()),
        "metrics": MetricRecord({"num-examples": len(dataset)}),
    }
    return Message(content=RecordDict(content), reply_to=message)
