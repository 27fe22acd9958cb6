"""What a sweep keeps in its store beside cells: the states from which stacks go on after a cut."""

from turncoat.sweep.packing import pack, unpack
from turncoat.sweep.store import Store, add
from turncoat.sweep.unit import Checkpoint, Trained


def load(store: Store, stack: str) -> Checkpoint | None:
    """What a stack goes on from, if it was ever begun."""
    row = store.connection.execute(
        "SELECT steps, state FROM checkpoints WHERE stack = ?", (stack,)
    ).fetchone()
    return None if row is None else Checkpoint(row[0], unpack(row[1]))


def save(store: Store, stack: str, reached: Checkpoint) -> None:
    """Write a checkpoint in the place of the stack's last."""
    data = pack(reached.state)
    with store.transaction() as connection:
        connection.execute(
            "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?)", (stack, data, reached.steps)
        )


def finish(store: Store, stack: str, trained: Trained) -> None:
    """Write a stack's rows and drop its checkpoint, all at once."""
    with store.transaction() as connection:
        add(connection, trained.rows, trained.environment)
        connection.execute("DELETE FROM checkpoints WHERE stack = ?", (stack,))
